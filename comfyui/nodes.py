"""Three nodes: load a model, morph keyframes, measure distances.

Nothing of ComfyUI is imported: what of it is running (progress bar, interruption, output folder) is
looked up among the loaded modules. ComfyUI runs nodes in inference mode; the solver needs gradients
of its own, so that every node leaves that mode.
"""

from __future__ import annotations

import re
import sys
import tempfile
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import diffusion_geodesics as dg
from diffusion_geodesics.image_sets.settings import DistanceSettings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.reporting.writer import Written
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError, flattened

MODEL = "GEODESIC_MODEL"
MODEL_NAME = (
    "STRING",
    {
        "default": "embedded",
        "tooltip": "a diffusers pipeline's folder, a hub id, or 'embedded' (cartoon portraits)",
    },
)
PROMPT = (
    "STRING",
    {
        "default": "",
        "multiline": True,
        "tooltip": "what the images show: one line for all, or one line for each image",
    },
)
SETTINGS = (
    "STRING",
    {
        "default": "",
        "multiline": True,
        "tooltip": "further settings, one a line: strength = 0.5, steps = 50, size = [512, 768]",
    },
)
LOADED = (MODEL, {"tooltip": "from Load Geodesic Model; goes before the name"})


class LoadGeodesicModel:
    """A model on a device, in a precision."""

    CATEGORY = "geodesics"
    DESCRIPTION = "Opens a diffusers pipeline for the geodesic nodes."
    FUNCTION = "load"
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("geodesic_model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  (ComfyUI's name)
        devices, precisions = ["auto", "cuda", "mps", "cpu"], ["float32", "float16", "bfloat16"]
        required = {"model": MODEL_NAME, "device": (devices,), "dtype": (precisions,)}
        return {"required": required}

    def load(self, model: str, device: str, dtype: str) -> tuple[DiffusionModel]:
        return (_load(model, device, dtype),)


class GeodesicMorph:
    """Keyframes in, frames of a film out."""

    CATEGORY = "geodesics"
    DESCRIPTION = "Morphs a batch of keyframes into one another, with a report of what it did."
    FUNCTION = "morph"
    OUTPUT_NODE = True  # it writes a report
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("frames", "report")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {
            "required": {
                "keyframes": ("IMAGE", {"tooltip": "at least two; join them with Batch Images"}),
                "model": MODEL_NAME,
                "prompt": PROMPT,
                "frames": ("INT", {"default": 17, "min": 2, "max": 1000}),
                "preset": (list(dg.InterpolationSettings.presets),),
            },
            "optional": {"geodesic_model": LOADED, "settings": SETTINGS},
        }

    def morph(
        self,
        keyframes: torch.Tensor,
        model: str,
        prompt: str,
        frames: int,
        preset: str,
        geodesic_model: DiffusionModel | None = None,
        settings: str = "",
    ) -> dict[str, Any]:
        more = _settings(dg.InterpolationSettings, settings)
        named = {
            "frames": frames,
            "prompt": tuple(filter(None, map(str.strip, prompt.split("\n")))),
        }
        chosen = dg.InterpolationSettings.preset(preset, **{**_given(named), **more})
        with torch.inference_mode(False):
            result = dg.interpolate(
                geodesic_model or _load(model), _images(keyframes), chosen, observer=_Progress()
            )
            written = _write(result, "geodesic_morph")
            film = result.frames.detach().float().cpu().movedim(1, -1).contiguous()
        page = str(written.folder / "report.html")
        notes = [str(warning) for warning in result.warnings]
        return {"ui": {"text": [page, *notes]}, "result": (film, page)}


class GeodesicDistance:
    """Distances of all pairs of a batch."""

    CATEGORY = "geodesics"
    DESCRIPTION = "Distances of all pairs of images; of two images, their distance."
    FUNCTION = "measure"
    OUTPUT_NODE = True
    RETURN_TYPES = ("FLOAT", "STRING", "STRING")
    RETURN_NAMES = ("mean_distance", "table", "report")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {
            "required": {"images": ("IMAGE",), "model": MODEL_NAME, "prompt": PROMPT},
            "optional": {"geodesic_model": LOADED, "settings": SETTINGS},
        }

    def measure(
        self,
        images: torch.Tensor,
        model: str,
        prompt: str,
        geodesic_model: DiffusionModel | None = None,
        settings: str = "",
    ) -> dict[str, Any]:
        more = _settings(DistanceSettings, settings)
        chosen = DistanceSettings.of(**{**_given({"prompt": prompt.strip()}), **more})
        with torch.inference_mode(False):
            result = dg.image_distances(
                geodesic_model or _load(model), _images(images), chosen, observer=_Progress()
            )
            written = _write(result, "geodesic_distance")
        values = result.matrix.values
        first, second = torch.combinations(torch.arange(len(values))).unbind(1)
        table = "\n".join(",".join(f"{x:.6g}" for x in row) for row in values.tolist())
        page = str(written.folder / "report.html")
        mean = float(values[first, second].mean())
        return {"ui": {"text": [table]}, "result": (mean, table, page)}


NODE_CLASS_MAPPINGS = {
    "LoadGeodesicModel": LoadGeodesicModel,
    "GeodesicMorph": GeodesicMorph,
    "GeodesicDistance": GeodesicDistance,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LoadGeodesicModel": "Load Geodesic Model",
    "GeodesicMorph": "Geodesic Morph",
    "GeodesicDistance": "Geodesic Distance",
}


@lru_cache(maxsize=1)
def _load(name: str, device: str = "auto", dtype: str = "float32") -> DiffusionModel:
    """The model, kept until another one is asked for."""
    with torch.inference_mode(False):
        where = None if device == "auto" else device
        return dg.load_model(name.strip(), device=where, dtype=getattr(torch, dtype))


def _images(batch: torch.Tensor) -> list[torch.Tensor]:
    """A batch of ComfyUI (images, height, width, channels) as images (3, height, width)."""
    pixels = batch[..., :3].movedim(-1, 1).float().cpu().clamp(0, 1)
    return [image.contiguous().clone() for image in pixels]


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _settings(kind: type[JobSettings], text: str) -> dict[str, Any]:
    """Settings from lines of TOML, by their flat names."""
    try:
        return flattened(kind, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings: {error}; write one a line, as: strength = 0.5") from None


def _write(result: object, name: str) -> Written:
    """The report, in a new numbered folder among ComfyUI's outputs."""
    outputs = sys.modules.get("folder_paths")
    place = outputs.get_output_directory() if outputs else tempfile.gettempdir()
    used = [re.fullmatch(rf"{name}_(\d+)", f.name) for f in Path(place).glob(f"{name}_*")]
    number = 1 + max((int(found[1]) for found in used if found), default=0)
    return dg.save(result, Path(place) / f"{name}_{number:05d}")


class _Progress:
    """Shows events on a bar of ComfyUI's a stage, and ends the run when it is interrupted there."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""

    def __call__(self, event: Event) -> None:
        if management := sys.modules.get("comfy.model_management"):
            management.throw_exception_if_processing_interrupted()
        loaded = sys.modules.get("comfy.utils")
        if loaded is None:
            return
        total = max(event.total, event.done, 1)
        if event.stage != self._stage:
            self._stage, self._bar = event.stage, loaded.ProgressBar(total)
        self._bar.update_absolute(event.done, total)
