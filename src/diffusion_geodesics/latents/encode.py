"""Images as latents: load, bring to one size, encode, carry to a noise level.

Every job begins here. All images of a job share a size and a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import (
    Codec,
    Condition,
    Denoiser,
    Images,
    Latents,
    MeteredCodec,
    OnStep,
    count_flops,
    evaluation_flops,
    noise_caution,
    noise_scale,
)
from diffusion_geodesics.diffusion import invert as invert_latents
from diffusion_geodesics.images import psnr
from diffusion_geodesics.latents.choices import sampler_of
from diffusion_geodesics.latents.domain import Familiarity, foreign_notes, measure_misfit
from diffusion_geodesics.latents.model_notes import model_notes
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.latents.settings import Inversion, Prompts
from diffusion_geodesics.models import DiffusionModel, as_model
from diffusion_geodesics.runtime.cost import Operations
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.run import Run

SETTLED = 3e-3
"""Change of an inverted latent, root mean square, at which it is refined no further."""


@final
@dataclass(frozen=True)
class NoiseLevel:
    r"""A noise level :math:`x = a x_0 + \sigma \varepsilon`; ``timestep`` is as the network is told
    it."""

    timestep: float
    a: float
    sigma: float


@final
@dataclass(frozen=True, eq=False)
class ModelParts:
    """A model taken apart for images of one size; both parts count on a run's meter."""

    codec: Codec
    denoiser: Denoiser

    @staticmethod
    def of(run: Run, model: DiffusionModel, size: tuple[int, int]) -> ModelParts:
        """The parts of a model for images of a size (height, width)."""
        as_model(model)
        codec = MeteredCodec(model.codec(*size), run.meter)
        return ModelParts(codec, model.denoiser(*size).metered(run.meter))

    def level(self, inversion: Inversion) -> NoiseLevel:
        """The noise level of inversion settings on the denoiser's schedule."""
        schedule = self.denoiser.schedule
        timestep = schedule.timestep(inversion.steps, inversion.level)
        return NoiseLevel(timestep, *schedule.coefficients(timestep))


@final
@dataclass(frozen=True, eq=False)
class Encoded:
    """Images with their clean latents, and the parts of the model for their size."""

    pictures: Pictures
    parts: ModelParts
    clean: Latents  # in double precision where the device has it
    conditions: tuple[Condition, ...]  # of the prompt of each image
    negative: Condition  # what guidance and ratios push away from
    null: Condition  # of no prompt
    prompts: Prompts  # the settings that these come from
    known: Familiarity  # how well the model knows the images
    notes: tuple[Diagnostic, ...] = ()  # on the images, the model and the prompts

    @property
    def codec(self) -> Codec:
        return self.parts.codec

    @property
    def denoiser(self) -> Denoiser:
        return self.parts.denoiser

    @property
    def images(self) -> Images:
        return self.pictures.images

    @property
    def codec_psnr(self) -> Float[Tensor, " images"]:
        """In dB, through the autoencoder alone."""
        return self.known.psnr

    @property
    def dim(self) -> int:
        return self.clean.shape[1]


@final
@dataclass(frozen=True, eq=False)
class Noised:
    """Encoded images carried to a noise level by a deterministic sampler."""

    encoded: Encoded
    latents: Latents
    level: NoiseLevel
    inversion: Inversion

    @property
    def parts(self) -> ModelParts:
        return self.encoded.parts

    @property
    def noise_notes(self) -> tuple[Diagnostic, ...]:
        """Whether the inversion put the noise of the level on the images; of a single step nothing
        can be said."""
        if round(self.inversion.level * self.inversion.steps) < 2:
            return ()
        level = self.level
        scale = noise_scale(self.encoded.clean, self.latents, level.a, level.sigma)
        caution = noise_caution(scale)
        return (Diagnostic("noise", caution, {"scale": scale.tolist()}),) if caution else ()

    @property
    def notes(self) -> tuple[Diagnostic, ...]:
        """What must be known about the model, the prompts and the inversion."""
        return (*self.encoded.notes, *self.noise_notes)


def encode(run: Run, model: DiffusionModel, pictures: Pictures, prompts: Prompts) -> Encoded:
    """Encode images, and the prompts that go with them: one for all of them, or one each;
    `ValueError` for another number.

    The run learns the operations of the networks as well. Cost: one evaluation, to count its
    operations, and two an image, to see whether the model knows it; each image is encoded and
    decoded once.
    """
    texts = prompts.each(len(pictures.images))
    with run.stage("encode"):
        known = {
            text: model.encode_prompt(text)
            for text in dict.fromkeys((*texts, prompts.negative, ""))
        }
        parts = ModelParts.of(run, model, pictures.size)
        found: list[Tensor] = []
        encoding = count_flops(lambda: found.append(parts.codec.encode(pictures.images)))
        decoding = count_flops(lambda: found.append(parts.codec.decode(found[0])))
        clean, decoded = found
        count = len(clean)
        evaluation = evaluation_flops(parts.denoiser, known[texts[0]])
        run.operations = Operations(evaluation, encoding / count, decoding / count)
        clean = clean.to(geometry_dtype(clean.device))
        conditions = tuple(known[text] for text in texts)
        misfit = measure_misfit(parts.denoiser, clean, known[""])
    familiar = Familiarity(psnr(decoded, pictures.images.to(decoded)).cpu(), misfit)
    return Encoded(
        pictures=pictures,
        parts=parts,
        clean=clean,
        conditions=conditions,
        negative=known[prompts.negative],
        null=known[""],
        prompts=prompts,
        known=familiar,
        notes=notes_on(model, pictures, (*texts, prompts.negative), familiar),
    )


def notes_on(
    model: DiffusionModel, pictures: Pictures, texts: Sequence[str], known: Familiarity
) -> tuple[Diagnostic, ...]:
    """What must be known about images, a model and prompts."""
    if model.caveat:  # what is no score of a density has no errors to expect
        known = replace(known, misfit=torch.ones_like(known.misfit))
    foreign = foreign_notes(pictures.names, known)
    return (*foreign, *pictures.warnings, *model_notes(model, texts))


def invert(run: Run, encoded: Encoded, inversion: Inversion) -> Noised:
    """Carry the clean latents of images to the noise level, all in one batch. Cost: at the default
    settings about 15 evaluations an image."""
    condition = Condition.stack(encoded.conditions)
    with run.stage("invert", total=0) as stage:
        latents = carry_up(encoded.parts, encoded.clean, condition, inversion, on_step=stage)
    return Noised(encoded, latents, encoded.parts.level(inversion), inversion)


def carry_up(
    parts: ModelParts,
    clean: Latents,
    condition: Condition,
    inversion: Inversion,
    *,
    tolerance: float = SETTLED,
    on_step: OnStep | None = None,
) -> Latents:
    """Clean latents at the noise level, by the deterministic sampler run backwards.

    A latent is refined no further once it moves by less than ``tolerance``, root mean square. Cost:
    one evaluation a latent and step up to the level, and those refined.
    """
    return invert_latents(
        parts.denoiser,
        clean,
        condition,
        steps=inversion.steps,
        level=inversion.level,
        sampler=sampler_of(inversion),
        refinements=inversion.refinements,
        tolerance=tolerance,
        start_noise=inversion.start_noise,
        on_step=on_step,
    )


def geometry_dtype(device: torch.device) -> torch.dtype:
    """Double precision wherever the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64
