"""Log densities of images, in absolute terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from diffusion_geodesics.image_sets.diagnostics import diagnose_densities
from diffusion_geodesics.image_sets.settings import DensitySettings
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.latents.encode import Encoded, Noised, encode, invert
from diffusion_geodesics.latents.memory import demand_memory
from diffusion_geodesics.latents.pictures import Pictures, load_pictures
from diffusion_geodesics.likelihood import (
    DenoiserNoise,
    LogDensity,
    ShiftedHutchPlusPlus,
    Trace,
    log_density,
)
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.run import Observer, Run


@final
@dataclass(frozen=True, eq=False)
class DensitiesResult:
    """Log densities of images at a noise level."""

    settings: DensitySettings
    model: ModelInfo
    pictures: Pictures
    """The images."""
    density: LogDensity
    """Of their latents, under the prompt."""
    of_pixels: bool
    """Whether the model works on pixels, so that bits per dimension are bits per pixel and
    channel; else they are bits per latent dimension."""
    costs: CostBreakdown
    warnings: tuple[Diagnostic, ...] = ()
    """What must be known before the figures are believed."""

    @property
    def bits(self) -> str:
        """What bits are counted over."""
        return "per pixel and channel" if self.of_pixels else "per latent dimension"

    def rows(self) -> list[dict[str, object]]:
        """One mapping an image: name, log density, its errors, bits per dimension."""
        found = self.density
        columns = ("log_prob", "standard_error", "solver_error", "bits_per_dim", "bits_error")
        return [
            {"name": name, **{c: float(getattr(found, c)[i]) for c in columns}}
            for i, name in enumerate(self.pictures.names)
        ]


def image_densities(
    model: DiffusionModel,
    images: Sequence[ImageSource],
    settings: DensitySettings | None = None,
    *,
    trace: Trace | None = None,
    observer: Observer | None = None,
    **changes: Any,
) -> DensitiesResult:
    """log p of images, inverted to a noise level, by the probability flow.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        images: at least one; paths, Pillow images, or tensors (3, height, width) in [0, 1].
        settings: every choice.
        trace: how to take traces, in place of ``ShiftedHutchPlusPlus(settings.trace.probes)``.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: no image, or the same one twice.

    Cost: the inversion, and six times the trace's products a step and image, each a network
    evaluation with its derivative.
    """
    settings = (settings or DensitySettings()).updated(**changes)
    run = Run(observer)
    pictures = load_pictures(model, images, settings.framing, least=1)
    count = len(pictures.images)
    held = count * (settings.trace.probes + 16)
    demand_memory(model, pictures.size, images=count, latents=held)
    noised = invert(run, encode(run, model, pictures, settings.prompts.prompts), settings.inversion)
    encoded, level = noised.encoded, noised.level
    chosen = settings.trace
    with run.stage("flow", total=100) as stage:
        found = log_density(
            DenoiserNoise(encoded.denoiser, encoded.conditions[0]),
            noised.latents,
            level.sigma / level.a,
            trace=trace or ShiftedHutchPlusPlus(chosen.probes, chosen.seed),
            rtol=chosen.rtol,
            bin_width=_bin_width(noised),
            on_step=lambda u: stage(round(100 * u)),
        )
    return DensitiesResult(
        settings,
        model.info,
        pictures,
        found,
        _of_pixels(encoded),
        run.costs,
        (*noised.notes, *diagnose_densities(found)),
    )


def _of_pixels(encoded: Encoded) -> bool:
    return encoded.codec.latent_shape == encoded.codec.image_shape


def _bin_width(noised: Noised) -> float:
    """What one of 255 steps of a pixel is in x; 1 for latents, which have no pixels."""
    encoded = noised.encoded
    if not _of_pixels(encoded):
        return 1.0
    ends = encoded.images[:1].new_zeros(2, *encoded.codec.image_shape)
    ends[1] = 1.0
    black, white = encoded.codec.encode(ends)
    return noised.level.a * float((white - black).mean()) / 255
