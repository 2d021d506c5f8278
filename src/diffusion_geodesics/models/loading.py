"""Finding, fetching and opening a model."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.weights import weight_files

if TYPE_CHECKING:
    from diffusion_geodesics.models.sd import StableDiffusionModel

__all__ = ["default_device", "load_model"]

EMBEDDED = Path(__file__).parent / "embedded"
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")


def load_model(
    name_or_path: str | Path = "embedded",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> "StableDiffusionModel":
    """A Stable Diffusion model by name: the embedded one, a folder, or an id on the hub.

    - `name_or_path`: `"embedded"` (the small portrait model inside this package), the folder of a
      saved `StableDiffusionPipeline`, or a hub id such as `owner/name`.
    - `device`: by default cuda, else mps, else cpu.
    - `dtype`: the networks' precision, float32 by default; float16 halves memory on a GPU.
    - `revision`: branch, tag or commit on the hub.
    - `local_files_only`: never go to the network.

    Weights are read from safetensors only and no code is taken from a repository. Raises
    `ModelError`, in one line, for anything that cannot be found, fetched or used.
    """
    device = default_device() if device is None else _usable_device(device)
    folder = _find(str(name_or_path), revision, local_files_only)
    files = weight_files(folder)
    if not files:
        raise ModelError(
            f"{folder} has no safetensors weights; save the pipeline again with "
            "save_pretrained(..., safe_serialization=True)"
        )
    from diffusion_geodesics.models.sd import StableDiffusionModel

    with _quiet():
        pipe = _open(folder, dtype or torch.float32)
        for part in ("unet", "vae", "text_encoder"):
            getattr(pipe, part).requires_grad_(False)
        try:
            pipe = pipe.to(device)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{name_or_path} does not fit into the memory of {device}; try dtype float16 or "
                "another device"
            ) from error
        return StableDiffusionModel(pipe, id=str(name_or_path), files=files)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the libraries' own progress bars and advice off the terminal; errors still show."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in libraries]
    try:
        for log in libraries:
            log.set_verbosity_error()
            log.disable_progress_bar()
        yield
    finally:
        for log, (verbosity, bars) in zip(libraries, before, strict=True):
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()


def default_device() -> torch.device:
    """cuda where there is one, else mps, else cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


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


def _find(name: str, revision: str | None, local_files_only: bool) -> Path:
    """The folder of a model, fetched first where that is needed."""
    if name == "embedded":
        folder = EMBEDDED
        if not (folder / "model_index.json").is_file():
            raise ModelError("the embedded model is missing from this installation; reinstall it")
        return folder
    folder = Path(name).expanduser()
    if folder.is_dir():
        _demand_pipeline(folder / "model_index.json", name)
        return folder
    if folder.is_file():
        raise ModelError(
            f"{name} is a file; expected the folder of a saved pipeline (the one that holds "
            "model_index.json)"
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith((".", "/")):
        raise ModelError(
            f"no model {name!r}: it is neither 'embedded', nor a folder here, nor a hub id of the "
            "form owner/name"
        )
    return _fetch(name, revision, local_files_only)


def _fetch(name: str, revision: str | None, local_files_only: bool) -> Path:
    from huggingface_hub import hf_hub_download

    local = local_files_only or not _hub_answers()
    place: dict[str, Any] = {"revision": revision, "local_files_only": local}
    try:
        index = hf_hub_download(name, "model_index.json", **place)
        _demand_pipeline(Path(index), name)
        with _quiet():
            from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
                StableDiffusionPipeline,
            )

            folder = StableDiffusionPipeline.download(
                name, use_safetensors=True, safety_checker=None, **place
            )
    except ModelError:
        raise
    except Exception as error:  # the hub client raises a dozen unrelated classes
        raise ModelError(_hub_reason(name, revision, local_files_only, error)) from error
    return Path(folder)


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


def _demand_pipeline(index: Path, name: str) -> None:
    """That a model_index.json is there and names a pipeline that can be used."""
    if not index.is_file():
        raise ModelError(
            f"{name} is a folder without model_index.json; expected a pipeline saved with "
            "save_pretrained"
        )
    try:
        kind = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the model_index.json of {name} is damaged; save it again") from error
    if kind not in PIPELINES:
        raise ModelError(
            f"{name} is a {kind}; expected a StableDiffusionPipeline (Stable Diffusion 1.x or 2.x)"
        )


def _open(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )

    try:
        return StableDiffusionPipeline.from_pretrained(
            str(folder),
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            safety_checker=None,
            requires_safety_checker=False,
        )
    except Exception as error:  # damaged or half-copied folders fail in a dozen ways
        detail = " ".join(str(error).split())[:200]
        raise ModelError(
            f"cannot open the pipeline in {folder} ({type(error).__name__}: {detail}); check that "
            "the folder is complete"
        ) from error
