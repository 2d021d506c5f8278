"""The registry of model families that `load_model` and `from_pipeline` know.

Plain data: nothing here imports torch or a model library, and an adapter is imported when a model
of its family is opened.
"""

from typing import Any

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.family import ModelFamily, TextReader

__all__ = [
    "DDPM",
    "DIT",
    "FAMILIES",
    "FLUX",
    "PIXART",
    "SDXL",
    "STABLE_DIFFUSION",
    "STABLE_DIFFUSION_3",
    "family_named",
    "family_of",
]

STABLE_DIFFUSION = ModelFamily(
    name="Stable Diffusion 1.x, 2.x",
    pipelines=("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
    adapter="diffusion_geodesics.models.sd:StableDiffusionModel",
    parts=("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    prediction="noise, v, sample, flow or EDM: the scheduler's configuration",
    prompt="text",
    readers=(TextReader("tokenizer", "text_encoder"),),
)
SDXL = ModelFamily(
    name="SDXL",
    pipelines=("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
    adapter="diffusion_geodesics.models.sdxl:StableDiffusionXLModel",
    parts=(
        "unet",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
        "scheduler",
    ),
    prediction="noise, v, sample, flow or EDM: the scheduler's configuration",
    prompt="text",
    readers=(TextReader("tokenizer", "text_encoder"), TextReader("tokenizer_2", "text_encoder_2")),
)
STABLE_DIFFUSION_3 = ModelFamily(
    name="Stable Diffusion 3, 3.5",
    pipelines=("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline"),
    adapter="diffusion_geodesics.models.sd3:StableDiffusion3Model",
    parts=("transformer", "vae", "scheduler"),
    prediction="flow velocity",
    prompt="text",
    optional=("text_encoder", "text_encoder_2", "text_encoder_3"),
    readers=(
        TextReader("tokenizer", "text_encoder"),
        TextReader("tokenizer_2", "text_encoder_2"),
        TextReader("tokenizer_3", "text_encoder_3", capped=True, required=False),
    ),
)
FLUX = ModelFamily(
    name="Flux.1",
    pipelines=("FluxPipeline", "FluxImg2ImgPipeline"),
    adapter="diffusion_geodesics.models.flux:FluxModel",
    parts=("transformer", "vae", "scheduler"),
    prediction="flow velocity",
    prompt="text",
    optional=("text_encoder", "text_encoder_2"),
    readers=(
        TextReader("tokenizer", "text_encoder"),
        TextReader("tokenizer_2", "text_encoder_2", capped=True),
    ),
    note="distilled (guidance in dev, few steps in schnell): its score is that of no density",
)
PIXART = ModelFamily(
    name="PixArt-alpha, PixArt-sigma",
    pipelines=("PixArtAlphaPipeline", "PixArtSigmaPipeline"),
    adapter="diffusion_geodesics.models.pixart:PixArtModel",
    parts=("transformer", "vae", "scheduler"),
    prediction="noise",
    prompt="text",
    optional=("text_encoder",),
    readers=(TextReader("tokenizer", "text_encoder", capped=True),),
)
DIT = ModelFamily(
    name="DiT",
    pipelines=("DiTPipeline",),
    adapter="diffusion_geodesics.models.dit:DiTModel",
    parts=("transformer", "vae", "scheduler"),
    prediction="noise",
    prompt="a class, by name or number",
)
DDPM = ModelFamily(
    name="DDPM, DDIM",
    pipelines=("DDPMPipeline", "DDIMPipeline"),
    adapter="diffusion_geodesics.models.ddpm:PixelModel",
    parts=("unet", "scheduler"),
    prediction="noise, clean image or v",
    prompt="none",
)

FAMILIES: tuple[ModelFamily, ...] = (
    STABLE_DIFFUSION,
    SDXL,
    STABLE_DIFFUSION_3,
    FLUX,
    PIXART,
    DIT,
    DDPM,
)


def family_named(pipeline_class: str, of: str) -> ModelFamily:
    """The family whose pipelines have a class name.

    Args:
        pipeline_class: such as ``"StableDiffusionPipeline"``.
        of: names the model in the error.

    Raises:
        ModelError: if no family has it.
    """
    for family in FAMILIES:
        if pipeline_class in family.pipelines:
            return family
    raise ModelError(f"{of} is a {pipeline_class}; expected one of {_known()}")


def family_of(pipe: Any) -> ModelFamily:
    """The family of a pipeline in memory.

    Raises:
        ModelError: if no family claims it.
    """
    for family in FAMILIES:
        if family.claims(pipe):
            return family
    raise ModelError(f"got a {type(pipe).__name__}; expected one of {_known()}")


def _known() -> str:
    return ", ".join(family.pipelines[0] for family in FAMILIES)
