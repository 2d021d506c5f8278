"""Morphs along probability density geodesics, as a custom pipeline of diffusers.

>>> pipe = DiffusionPipeline.from_pretrained(
...     "stable-diffusion-v1-5/stable-diffusion-v1-5",
...     custom_pipeline="hub",  # this folder, or a repository on the hub that holds it
...     trust_remote_code=True,
... )
>>> frames = pipe([photo_a, photo_b], prompt="a dog", num_frames=17).frames

The work is done by the package ``diffusion-geodesics``, which must be installed; this file only
names the components, so that diffusers can load them. diffusers takes the one pipeline class of
this module that is not its own: the package's class is therefore not imported by its name.
"""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
from diffusers import DiffusionPipeline

import diffusion_geodesics.pipeline as geodesics

PIPELINES = {
    "SD3Transformer2DModel": "StableDiffusion3Pipeline",
    "FluxTransformer2DModel": "FluxPipeline",
    "PixArtTransformer2DModel": "PixArtSigmaPipeline",
    "DiTTransformer2DModel": "DiTPipeline",
    "UNet2DModel": "DDPMPipeline",
}
"""Class of the denoising network: the pipeline that it belongs to; for a `UNet2DConditionModel` the
number of text encoders decides."""


class GeodesicMorphPipeline(geodesics.GeodesicInterpolationPipeline):
    """Morphs images into one another along probability density geodesics.

    Call it as `GeodesicInterpolationPipeline`: images, prompt, num_frames, generator, output_type,
    callback_on_step_end and so on.

    - `scheduler`, and of the others those that the model has: Stable Diffusion 1.x, 2.x, XL and 3,
      Flux.1, PixArt, DiT, DDPM.
    - `force_zeros_for_empty_prompt`, `id2label`: settings of SDXL and DiT.
    """

    _optional_components = [  # noqa: RUF012  (diffusers reads and compares a plain list)
        "vae",
        "unet",
        "transformer",
        "text_encoder",
        "text_encoder_2",
        "text_encoder_3",
        "tokenizer",
        "tokenizer_2",
        "tokenizer_3",
        "image_encoder",
        "feature_extractor",
        "safety_checker",
    ]

    # None of the components has a default: diffusers takes what has one for a plain setting.
    def __init__(
        self,
        scheduler,
        vae,
        unet,
        transformer,
        text_encoder,
        text_encoder_2,
        text_encoder_3,
        tokenizer,
        tokenizer_2,
        tokenizer_3,
        image_encoder,
        feature_extractor,
        safety_checker,
        force_zeros_for_empty_prompt: bool = True,
        id2label: dict[int, str] | None = None,
        requires_safety_checker: bool = False,
        add_watermarker: bool = False,
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        given["requires_safety_checker"] = safety_checker is not None
        super().__init__(_source(given))

    @classmethod
    def from_pipe(
        cls, pipeline: DiffusionPipeline, **kwargs: Any
    ) -> geodesics.GeodesicInterpolationPipeline:
        """The morphing pipeline of one that is loaded already."""
        return geodesics.GeodesicInterpolationPipeline.from_pipe(pipeline, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> geodesics.GeodesicInterpolationPipeline:
        """The morphing pipeline of a saved one."""
        loaded = geodesics.GeodesicInterpolationPipeline
        return loaded.from_pretrained(pretrained_model_name_or_path, **kwargs)


def _source(given: dict[str, Any]) -> DiffusionPipeline:
    """The pipeline of diffusers that these components make."""
    kind = getattr(diffusers, _pipeline_name(given))
    names = set(inspect.signature(kind.__init__).parameters) - {"self"}
    return kind(**{name: given[name] for name in names & set(given)})


def _pipeline_name(given: dict[str, Any]) -> str:
    network = given["unet"] if given["transformer"] is None else given["transformer"]
    kind = type(network).__name__
    if kind == "UNet2DConditionModel":
        large = given["text_encoder_2"] is not None or given["tokenizer_2"] is not None
        return "StableDiffusionXLPipeline" if large else "StableDiffusionPipeline"
    if kind not in PIPELINES:
        known = ", ".join(("UNet2DConditionModel", *PIPELINES))
        raise ValueError(f"got a model whose network is a {kind}; expected one of: {known}")
    return PIPELINES[kind]
