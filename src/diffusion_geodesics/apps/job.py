"""Two images at one size, with the parts of the model for that size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from diffusion_geodesics.apps.chart import Chart
from diffusion_geodesics.apps.settings import Blend, Estimate, Settings
from diffusion_geodesics.apps.survey import Geometry, ModelScore
from diffusion_geodesics.diffusion import (
    NFSD,
    SDS,
    Codec,
    Condition,
    ConditionArc,
    ConditionCurve,
    ConditionLine,
    Denoiser,
    DistilledScore,
    FixedWindow,
    LevelScore,
    Published,
    RandomWindow,
    RatioScore,
)
from diffusion_geodesics.framing import choose_size, fit
from diffusion_geodesics.images import load_image
from diffusion_geodesics.models import DiffusionModel

ImageSource = str | Path | Image.Image | Tensor


@dataclass(frozen=True)
class Job:
    """What an interpolation works on.

    Args:
        images: both images at the working size, values in [0, 1].
        sources: where they came from, for the record.
        notes: what was done to bring each to the size, in words.
        codec, denoiser: the model's parts for that size.
        conditions: of both ends.
        negative: what guidance and ratios push away from.
        null: the condition of no prompt.
        settings: all choices.
    """

    images: Float[Tensor, "2 3 height width"]
    sources: tuple[str, str]
    notes: tuple[str, str]
    codec: Codec
    denoiser: Denoiser
    conditions: tuple[Condition, Condition]
    negative: Condition
    null: Condition
    settings: Settings

    @property
    def curve(self) -> ConditionCurve:
        """The condition along the path."""
        first, last = self.conditions
        match self.settings.blend:
            case Blend.LERP:
                return ConditionLine(first, last)
            case Blend.SLERP:
                return ConditionArc(first, last)
            case Blend.FIRST:
                return first
            case Blend.MEAN:
                return first.lerp(last, torch.tensor([0.5]))

    def geometry(self, chart: Chart, dim: int) -> Geometry:
        """The metric between the two latents."""
        settings, schedule = self.settings, self.denoiser.schedule
        timestep = schedule.timestep(settings.steps, settings.level)
        level = LevelScore(self.denoiser, timestep, self.curve)
        fixed, search = self._scores(level)
        alpha = settings.alpha_for(dim)
        return Geometry(chart, fixed, level, search, alpha, schedule.coefficients(timestep))

    def _scores(self, level: LevelScore) -> tuple[ModelScore, ModelScore]:
        """The score that paths are measured with, and the one that the solver follows."""
        settings, schedule = self.settings, self.denoiser.schedule
        if settings.estimate is Estimate.LEVEL:
            return level, level
        if settings.estimate is Estimate.RATIO:
            ratio = RatioScore(self.denoiser, level.timestep, self.curve, self.negative)
            return ratio, ratio
        rules = {Estimate.SDS: SDS(), Estimate.NFSD: NFSD()}
        window = FixedWindow.around(
            schedule,
            settings.steps,
            settings.level,
            settings.window,
            settings.window_nodes,
            settings.seed,
        )
        fixed = DistilledScore(
            self.denoiser,
            window,
            rules.get(settings.estimate, Published()),
            self.curve,
            null=self.null,
            negative=self.negative,
        )
        if settings.estimate is not Estimate.PUBLISHED_RANDOM:
            return fixed, fixed
        generator = torch.Generator().manual_seed(settings.seed)
        low, *_, high = (window.level, *window.timesteps, window.level)
        if len(window.timesteps) > 1:
            low, high = window.timesteps[0], window.timesteps[-1]
        return fixed, replace(fixed, quadrature=RandomWindow(window.level, low, high, generator))


def prepare(model: DiffusionModel, a: ImageSource, b: ImageSource, settings: Settings) -> Job:
    """Load both images, bring them to one size, encode the prompts.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: identical images, or a size that the model does not take.
    """
    loaded = [_load(x) for x in (a, b)]
    if loaded[0].shape == loaded[1].shape and bool(torch.equal(loaded[0], loaded[1])):
        raise ValueError("the two images are identical; give two different ones")
    height, width = choose_size(
        [(int(x.shape[1]), int(x.shape[2])) for x in loaded],
        native=model.native_size,
        multiple=model.size_multiple,
        requested=settings.size,
    )
    framed = [fit(x, height, width, settings.fit) for x in loaded]
    images = torch.stack([f.image for f in framed])
    if bool(torch.equal(images[0], images[1])):
        raise ValueError(
            f"the two images are identical at {width}x{height}; give two different ones, or a "
            "larger size"
        )
    first, last = settings.prompts
    return Job(
        images=images,
        sources=(_name(a), _name(b)),
        notes=(framed[0].note, framed[1].note),
        codec=model.codec(height, width),
        denoiser=model.denoiser(height, width),
        conditions=(model.encode_prompt(first), model.encode_prompt(last)),
        negative=model.encode_prompt(settings.negative),
        null=model.encode_prompt(""),
        settings=settings,
    )


def _load(source: ImageSource) -> Tensor:
    if not isinstance(source, Tensor):
        return load_image(source)
    if source.ndim != 3 or source.shape[0] != 3:
        raise ValueError(
            f"got an image tensor of shape {tuple(source.shape)}; expected (3, height, width)"
        )
    return source.detach().to("cpu", torch.float32)


def _name(source: ImageSource) -> str:
    return str(source) if isinstance(source, str | Path) else type(source).__name__
