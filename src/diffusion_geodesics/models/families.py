"""The registry of model families that `load_model` and `from_pipeline` know.

Plain data: nothing here imports torch or a model library, and an adapter is imported when a model
of its family is opened.
"""

from dataclasses import dataclass
from typing import Any, final

from diffusion_geodesics.models.errors import ModelError


@final
@dataclass(frozen=True)
class TextReader:
    """The components of a pipeline that cut a prompt into tokens and read them.

    ``capped``: the pipeline's ``max_sequence_length`` bounds the number of tokens (T5), not the
    tokenizer's ``model_max_length`` (CLIP). ``required``: prompts cannot be encoded without it.
    """

    tokenizer: str
    encoder: str
    capped: bool = False
    required: bool = True


@final
@dataclass(frozen=True)
class ModelFamily:
    """One entry of the registry.

    Args:
        name: as people call it.
        pipelines: names of diffusers' pipeline classes, as ``model_index.json`` has them; the
            first is the one named in errors.
        adapter: the subclass of ``PipelineModel`` for these pipelines, ``"module:Class"``.
        parts: the components that must be there, the denoising network first.
        prediction, prompt: what the network predicts and what a prompt is, in a few words.
        optional: components with weights that may be missing; they count for the hash.
        readers: what reads a prompt's text; empty where a prompt is no text.
        note: what the score is where it is the score of no density, for all its pipelines.
    """

    name: str
    pipelines: tuple[str, ...]
    adapter: str
    parts: tuple[str, ...]
    prediction: str
    prompt: str = "text"
    optional: tuple[str, ...] = ()
    readers: tuple[TextReader, ...] = ()
    note: str = ""

    def claims(self, pipe: Any) -> bool:
        """Whether a pipeline in memory belongs to this family, by its class or a parent class."""
        return any(kind.__name__ in self.pipelines for kind in type(pipe).__mro__)

    def check_complete(self, pipe: Any) -> None:
        """`ModelError` unless a pipeline is of this family and has its parts."""
        if not self.claims(pipe):
            raise ModelError(
                f"got a {type(pipe).__name__}; expected a {self.pipelines[0]} ({self.name})"
            )
        missing = [name for name in self.parts if getattr(pipe, name, None) is None]
        if missing:
            raise ModelError(f"got a pipeline without {', '.join(missing)}; load it with all parts")


_SCHEDULED = "noise, v, sample, flow or EDM: the scheduler's configuration"
_CLIP = TextReader("tokenizer", "text_encoder")
_SECOND_CLIP = TextReader("tokenizer_2", "text_encoder_2")

STABLE_DIFFUSION = ModelFamily(
    name="Stable Diffusion 1.x, 2.x",
    pipelines=("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
    adapter="diffusion_geodesics.models.sd:StableDiffusionModel",
    parts=("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    prediction=_SCHEDULED,
    readers=(_CLIP,),
)
SDXL = ModelFamily(
    name="SDXL",
    pipelines=("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
    adapter="diffusion_geodesics.models.sd:StableDiffusionXLModel",
    parts=(*STABLE_DIFFUSION.parts, "text_encoder_2", "tokenizer_2"),
    prediction=_SCHEDULED,
    readers=(_CLIP, _SECOND_CLIP),
)
STABLE_DIFFUSION_3 = ModelFamily(
    name="Stable Diffusion 3, 3.5",
    pipelines=("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline"),
    adapter="diffusion_geodesics.models.sd3:StableDiffusion3Model",
    parts=("transformer", "vae", "scheduler"),
    prediction="flow velocity",
    optional=("text_encoder", "text_encoder_2", "text_encoder_3"),
    readers=(
        _CLIP,
        _SECOND_CLIP,
        TextReader("tokenizer_3", "text_encoder_3", capped=True, required=False),
    ),
)
FLUX = ModelFamily(
    name="Flux.1",
    pipelines=("FluxPipeline", "FluxImg2ImgPipeline"),
    adapter="diffusion_geodesics.models.flux:FluxModel",
    parts=("transformer", "vae", "scheduler"),
    prediction="flow velocity",
    optional=("text_encoder", "text_encoder_2"),
    readers=(_CLIP, TextReader("tokenizer_2", "text_encoder_2", capped=True)),
    note="distilled (guidance in dev, few steps in schnell): its score is that of no density",
)
PIXART = ModelFamily(
    name="PixArt-alpha, PixArt-sigma",
    pipelines=("PixArtAlphaPipeline", "PixArtSigmaPipeline"),
    adapter="diffusion_geodesics.models.pixart:PixArtModel",
    parts=("transformer", "vae", "scheduler"),
    prediction="noise",
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
    """The family whose pipelines have a class name; else `ModelError`, in which ``of`` names the
    model."""
    for family in FAMILIES:
        if pipeline_class in family.pipelines:
            return family
    raise ModelError(f"{of} is a {pipeline_class}; expected one of {_known()}")


def family_of(pipe: Any) -> ModelFamily:
    """The family of a pipeline in memory; `ModelError` if none claims it."""
    for family in FAMILIES:
        if family.claims(pipe):
            return family
    raise ModelError(f"got a {type(pipe).__name__}; expected one of {_known()}")


def _known() -> str:
    return ", ".join(family.pipelines[0] for family in FAMILIES)
