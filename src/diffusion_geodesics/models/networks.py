"""Networks read from the component folders of a pipeline, whole or not at all."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.folders import variant_among


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
