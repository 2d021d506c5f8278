"""First-last-frame video models as a method: diffusers pipelines that take two images."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.rendered import Fixed, Renderable

CONDITIONS = {
    "LTXConditionPipeline": "diffusers.pipelines.ltx.pipeline_ltx_condition:LTXVideoCondition",
}
"""Pipelines that take images with the numbers of their frames, and the class of a condition."""


@final
@dataclass(frozen=True, eq=False)
class VideoModel(Method):
    """A diffusers pipeline that makes a video from its first and last image.

    Wan, SkyReels and FramePack take `image` and `last_image`; LTX takes conditions. Its network is
    not ours: evaluations are not counted, only seconds are.
    """

    pipeline: Any  # loaded, on its device
    label: str  # what to call it
    length: int = 81  # frames to make; most models want a multiple of 4 or 8, and 1
    steps: int = 30  # denoising steps
    seed: int = 0  # of the noise
    multiple: int = 32  # height and width are rounded to multiples of this
    options: Mapping[str, Any] = field(default_factory=dict)  # further arguments of its call

    def __post_init__(self) -> None:
        if not (self._takes("last_image") or type(self.pipeline).__name__ in CONDITIONS):
            raise ValueError(
                f"a {type(self.pipeline).__name__} takes no last image; expected a pipeline with "
                f"image and last_image, such as WanImageToVideoPipeline, or {', '.join(CONDITIONS)}"
            )

    @classmethod
    def load(cls, folder: Path, device: torch.device, **choices: Any) -> VideoModel:
        """The model in a folder; on a GPU in bfloat16, moved there part by part."""
        from diffusers.pipelines.pipeline_utils import DiffusionPipeline

        large = device.type == "cuda"
        local = {"local_files_only": True, "use_safetensors": True}
        dtype = torch.bfloat16 if large else torch.float32
        try:
            pipe = DiffusionPipeline.from_pretrained(str(folder), torch_dtype=dtype, **local)
        except (OSError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise ValueError(f"cannot open the video model in {folder} ({line})") from error
        found = cls(pipe, folder.resolve().name, **choices)
        if large:
            pipe.enable_model_cpu_offload()
        else:
            pipe.to(device)
        return found

    @property
    def name(self) -> str:
        return self.label

    def path(self, context: Context, pair: str) -> Renderable:
        encoded = context.noised.encoded
        first, last = encoded.prompts.each(2)
        prompt = first if first == last else f"{first}, turning into {last}"
        with context.run.stage("video model"):
            frames = self._video(encoded.images.detach().float().cpu(), prompt)
        size = encoded.images.shape[-2:]
        sized = interpolate(frames, size=size, mode="bilinear", antialias=True)
        return Fixed(sized.clamp(0, 1))

    def _video(self, images: Tensor, prompt: str) -> Float[Tensor, "frames 3 height width"]:
        from diffusers.image_processor import VaeImageProcessor

        height, width = (max(1, round(n / self.multiple)) * self.multiple for n in images.shape[2:])
        a, b = VaeImageProcessor.numpy_to_pil(images.permute(0, 2, 3, 1).numpy())
        try:
            made = self.pipeline(
                **self._ends(a, b),
                prompt=prompt,
                num_frames=self.length,
                num_inference_steps=self.steps,
                height=height,
                width=width,
                generator=torch.Generator().manual_seed(self.seed),
                output_type="pt",
                **self.options,
            ).frames
        except NameError as error:  # diffusers leaves out imports of libraries that are absent
            raise ValueError(
                f"{self.label} needs a library that is not installed: {error}; install it (Wan and "
                "SkyReels need: pip install ftfy)"
            ) from error
        return torch.as_tensor(made)[0].float().cpu()

    def _ends(self, first: Any, last: Any) -> dict[str, Any]:
        if self._takes("last_image"):
            return {"image": first, "last_image": last}
        from pkgutil import resolve_name

        condition = resolve_name(CONDITIONS[type(self.pipeline).__name__])
        ends = ((first, 0), (last, self.length - 1))
        return {"conditions": [condition(image=im, frame_index=at) for im, at in ends]}

    def _takes(self, argument: str) -> bool:
        return argument in inspect.signature(self.pipeline.__call__).parameters
