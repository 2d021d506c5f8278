"""Log densities of images, in absolute terms."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from diffusion_geodesics.apps.events import Event, OnEvent, ignore
from diffusion_geodesics.apps.gallery import Gallery, Place, hang
from diffusion_geodesics.apps.job import ImageSource
from diffusion_geodesics.diffusion import Cost, Ledger
from diffusion_geodesics.likelihood import (
    DenoiserNoise,
    FlowResult,
    LogDensity,
    Trace,
    log_density,
)
from diffusion_geodesics.models import DiffusionModel

FEW_SAMPLES = 8
"""Samples of the trace below which their spread says little of the error."""


@dataclass(frozen=True)
class Densities:
    """Log densities of images at a noise level.

    Args:
        gallery: the images and their latents.
        density: of the latents, under the prompt.
        place: prompt, level and size.
        model_id: of the model.
        ledger: cost by stage.
    """

    gallery: Gallery
    density: LogDensity
    place: Place
    model_id: str
    ledger: Ledger

    @property
    def of_pixels(self) -> bool:
        """Whether the model works on pixels, so that bits per dimension are bits per pixel and
        channel; else they are bits per latent dimension."""
        return self.gallery.codec.latent_shape == self.gallery.codec.image_shape

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before the figures are believed."""
        found, trace = self.density, self.density.trace
        said: list[str] = []
        if found.result is not FlowResult.converged:
            said.append(f"No density was found: {found.result.value}.")
        if not trace.exact and trace.count < FEW_SAMPLES:
            said.append(
                f"The standard error comes from {trace.count} samples and may be far too small; "
                f"take at least {3 * FEW_SAMPLES} probes."
            )
        return tuple(said)

    def rows(self) -> list[dict[str, object]]:
        """One mapping an image: name, log_prob, standard_error, solver_error, bits_per_dim."""
        found = self.density
        return [
            {
                "name": name,
                "log_prob": float(found.log_prob[i]),
                "standard_error": float(found.standard_error[i]),
                "solver_error": float(found.solver_error[i]),
                "bits_per_dim": float(found.bits_per_dim[i]),
                "bits_error": float(found.bits_error[i]),
            }
            for i, name in enumerate(self.gallery.names)
        ]

    def as_dict(self) -> dict[str, object]:
        """Everything, ready for JSON."""
        found = self.density
        return {
            "densities": self.rows(),
            "bits": "per pixel and channel" if self.of_pixels else "per latent dimension",
            "bin_width": found.bin_width,
            "dim": found.dim,
            "noise_to_signal": found.sigma,
            "noise_to_signal_at_the_end": found.sigma_max,
            "trace": repr(found.trace),
            "derivative": repr(found.derivative),
            "result": found.result.name,
            "message": found.result.value,
            "steps": {"accepted": found.steps[0], "rejected": found.steps[1]},
            "warnings": list(self.warnings),
            "model": self.model_id,
            "settings": self.place.as_dict(),
            "cost": self.ledger.as_dict("flow"),
        }


def densities(
    model: DiffusionModel,
    images: Sequence[ImageSource],
    place: Place | None = None,
    *,
    trace: Trace | None = None,
    rtol: float = 1e-3,
    on_event: OnEvent = ignore,
) -> Densities:
    """log p of images, inverted to a noise level, by the probability flow.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        images: paths, Pillow images, or tensors (3, height, width) with values in [0, 1].
        place: prompt, noise level and size.
        trace: how to take traces; ``ShiftedHutchPlusPlus(24)`` by default.
        rtol: relative tolerance of the solver.
        on_event: told of progress; raise in it to cancel.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: no image, or the same one twice.

    Cost: the inversion, and six times the trace's products a step and image, each a network row
    with its derivative.
    """
    place = Place() if place is None else place
    gallery = hang(model, images, place, least=1, on_event=on_event)
    a, s = gallery.denoiser.schedule.coefficients(gallery.timestep)
    started = time.perf_counter()

    def tell(u: float) -> None:
        on_event(Event("flow", round(100 * u), 100))

    tell(0.0)
    found = log_density(
        DenoiserNoise(gallery.denoiser, gallery.condition),
        gallery.latents,
        s / a,
        trace=trace,
        rtol=rtol,
        bin_width=_bin_width(gallery),
        on_step=tell,
    )
    cost = Cost(found.score_evals, found.calls, time.perf_counter() - started)
    return Densities(gallery, found, place, model.id, gallery.ledger.add("flow", cost))


def _bin_width(gallery: Gallery) -> float:
    """What one of 255 steps of a pixel is in x; 1 for latents, which have no pixels."""
    if gallery.codec.latent_shape != gallery.codec.image_shape:
        return 1.0
    ends = gallery.images[:2].new_zeros(2, *gallery.codec.image_shape)
    ends[1] = 1.0
    black, white = gallery.codec.encode(ends)
    a, _ = gallery.denoiser.schedule.coefficients(gallery.timestep)
    return a * float((white - black).mean()) / 255
