"""Opening the folder of a saved pipeline, quietly, from safetensors only, whole or not at all."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.folders import read_index, variant_among


def open_pipeline(folder: Path, dtype: torch.dtype, name: str) -> Any:
    """The pipeline saved in a folder, of the class that its model_index.json names.

    No safety checker is loaded, no code is taken from the folder, and gradients are off.
    `ModelError`, in which ``name`` names the model, for a folder that is damaged or incomplete, and
    for weights that are not exactly those of a network.
    """
    import diffusers

    index = read_index(folder, name)
    kind = getattr(diffusers, index["_class_name"])
    options: dict[str, Any] = {part: None for part, entry in index.items() if entry == [None, None]}
    if "safety_checker" in index:
        options |= {"safety_checker": None, "requires_safety_checker": False}
    for part, component in _components(index, name):
        if part in options:
            continue
        _check_files(folder, part, component, name)
        if isinstance(component, type) and issubclass(component, torch.nn.Module):
            network = load_network(component, folder, part, dtype, name)
            options[part] = network.requires_grad_(False)
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, **options)
    except Exception as error:  # damaged or half-copied folders fail in a dozen ways
        raise ModelError(
            f"cannot open the pipeline in {folder} ({one_line(error)}); check that the folder is "
            "complete"
        ) from error


def unapplied_loras(folder: Path) -> tuple[str, ...]:
    """A note on every LoRA file in a pipeline's folder: none is applied. They are recognised by
    their name or, in safetensors, by the names of their weights."""
    files = [Path(where, file) for where, _, names in os.walk(folder) for file in names]
    found = [file.relative_to(folder) for file in sorted(files) if _is_lora(file)]
    return tuple(
        f"the LoRA file {file} lies in the folder and is not applied; to apply it, load the "
        "pipeline, call load_lora_weights and give it to from_pipeline"
        for file in found
    )


def _components(index: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """The components that an index names, with their classes."""
    import diffusers
    import transformers

    libraries = {"diffusers": diffusers, "transformers": transformers}
    for part, entry in index.items():
        if not isinstance(entry, list) or entry == [None, None]:
            continue
        library, kind = (*entry, None, None)[:2]
        component = getattr(libraries.get(str(library)), str(kind), None)
        if component is None and library in libraries:
            raise ModelError(
                f"the {part} of {name} is a {kind}, which the installed {library} does not have; "
                f"upgrade {library}"
            )
        yield part, component


def _check_files(folder: Path, part: str, component: Any, name: str) -> None:
    """Check that a component's folder is there and, for a tokenizer, has its vocabulary."""
    place = folder / part
    if not os.path.isdir(place):
        raise ModelError(
            f"{name} lacks the folder of its {part}; check that the folder is complete"
        )
    vocabulary: dict[str, str] = dict(getattr(component, "vocab_files_names", {}))
    whole = vocabulary.pop("tokenizer_file", "tokenizer.json")
    parts = list(vocabulary.values())
    if not parts or os.path.isfile(place / whole):
        return
    missing = [file for file in parts if not os.path.isfile(place / file)]
    if missing:
        raise ModelError(
            f"the {part} of {name} has no vocabulary: expected {whole}, or {' and '.join(parts)} "
            f"in {place}; save or download it again"
        )


_LORA_MARKS = ("lora_", ".lora.", "hada_w", "lokr_w")
"""In the names of the weights of LoRAs and their relatives."""


def _is_lora(file: Path) -> bool:
    named = "lora" in file.name.lower()
    if file.suffix in (".bin", ".pt", ".ckpt"):
        return named
    if file.suffix != ".safetensors":
        return False
    if named:
        return True
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as weights:
            names = weights.keys()
            return any(mark in key for key in names for mark in _LORA_MARKS)
    except (OSError, SafetensorError):
        return False


def load_network(
    kind: Any, folder: Path, part: str, dtype: torch.dtype, name: str
) -> torch.nn.Module:
    """A component's network, from safetensors, with every weight read from them.

    `ModelError`, in which ``name`` names the model, if files are missing or damaged, and if the
    weights are not exactly those of the network: keys missing, unexpected or of another shape.
    """
    library = kind.__module__.partition(".")[0]
    precision = {"dtype" if library == "transformers" else "torch_dtype": dtype}
    try:
        network, loaded = kind.from_pretrained(
            str(folder / part),
            **precision,
            use_safetensors=True,
            local_files_only=True,
            variant=variant_among(os.listdir(folder / part)),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported below, with their names
        )
    except Exception as error:  # damaged or half-copied folders fail in a dozen ways
        raise ModelError(
            f"cannot open the {part} of {name} ({one_line(error)}); check that the folder is "
            "complete"
        ) from error
    complaints = _complaints(loaded)
    if complaints:
        raise ModelError(
            f"the weights of the {part} of {name} are not those of its network: "
            f"{'; '.join(complaints)}. The files are damaged or belong to another model"
        )
    return network


def one_line(error: Exception) -> str:
    """An error of a library, with its class, in one line of at most 200 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _complaints(loaded: Mapping[str, Any]) -> list[str]:
    """What is wrong with the weights, by the report of either library."""
    mismatched = [
        f"{key} {tuple(found)} instead of {tuple(expected)}"
        for key, found, expected in loaded["mismatched_keys"]
    ]
    kinds = {
        "missing": loaded["missing_keys"],
        "unexpected": loaded["unexpected_keys"],
        "of another shape": mismatched,
    }
    return [f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in kinds.items() if keys]


def _some(keys: Iterable[str]) -> str:
    """The first keys in order."""
    names = sorted(keys)
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
