"""The result of an interpolation, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.chart import Chart
from diffusion_geodesics.apps.settings import Settings
from diffusion_geodesics.apps.track import Track
from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.correspondence import Matches
from diffusion_geodesics.diffusion import Ledger
from diffusion_geodesics.path import Path
from diffusion_geodesics.report import Video, Written

LEAST_ENERGY = 0.75
"""Noise energy, relative to that of both ends and of slerp, below which a path is atypical."""


class AtypicalError(ValueError):
    """The geodesic leaves the typical set of the noised density, and that was not allowed."""

    @staticmethod
    def check(found: Track, slerp: Track, settings: Settings) -> None:
        """Raise if the path sheds noise that the comparison path keeps."""
        if is_atypical(found, slerp):
            raise AtypicalError(
                f"the geodesic leaves the typical set: its noise energy falls to "
                f"{found.least_energy:.2f} of that of the ends (slerp: {slerp.least_energy:.2f}), "
                f"frames would lose detail; lower the strength (now {settings.strength:g}), or "
                "allow it with --allow-atypical"
            )


def is_atypical(found: Track, slerp: Track) -> bool:
    """Whether a path's noise energy falls below 0.75 of what slerp keeps."""
    return found.least_energy < LEAST_ENERGY * min(1.0, slerp.least_energy)


@dataclass(frozen=True)
class PathFilm:
    """Decoded frames of one path.

    Args:
        name: of the path.
        frames: images with values in [0, 1].
        times: curve parameter of each.
        log_density: log p relative to the start at each, in nats.
    """

    name: str
    frames: Float[Tensor, "frames 3 height width"]
    times: Float[Tensor, " frames"]
    log_density: Float[Tensor, " frames"]


@dataclass(frozen=True)
class Interpolation:
    """A morph between two images, with everything that is known about it.

    Args:
        model_id, model_hash: the model, and the SHA-256 of its weights.
        model_caveat: what its score is, where it is that of no density; else empty.
        settings: every choice.
        sources: where the images came from.
        framing: what was done to bring each to the working size.
        inputs: the images at that size.
        film: the frames of the path.
        compared: fewer frames of the path it is compared with, if that was wanted.
        tracks: density and typicality of the path, then of slerp and lerp.
        path: the path, in coordinates of ``chart``.
        chart: what turns these into latents at the noise level.
        solution: the boundary value solution; None for a path that needs none.
        matches: the correspondences that the path is carried along; None where it is not.
        alpha: α of the metric; dim: coordinates of a latent.
        endpoint_psnr: of the first and last frame as the model reproduces them, against the
            images, in dB.
        codec_psnr: the same for the autoencoder alone: the best that can be had.
        ledger: cost by stage.
        device, dtype: of the networks.
    """

    model_id: str
    model_hash: str
    model_caveat: str
    settings: Settings
    sources: tuple[str, str]
    framing: tuple[str, str]
    inputs: Float[Tensor, "2 3 height width"]
    film: PathFilm
    compared: PathFilm | None
    tracks: tuple[Track, ...]
    path: Path
    chart: Chart
    solution: Solution | None
    matches: Matches | None
    alpha: float
    dim: int
    endpoint_psnr: tuple[float, float]
    codec_psnr: tuple[float, float]
    ledger: Ledger
    device: str
    dtype: str

    @property
    def frames(self) -> Float[Tensor, "frames 3 height width"]:
        """The morph, values in [0, 1]."""
        return self.film.frames

    @property
    def times(self) -> Float[Tensor, " frames"]:
        """Curve parameter of each frame."""
        return self.film.times

    @property
    def log_density(self) -> Float[Tensor, " frames"]:
        """log p at each frame relative to the first, in nats, at the noise level."""
        return self.film.log_density

    @property
    def distance(self) -> float | None:
        """Geodesic distance relative to the mean of both ends' log densities; None without a
        solution, and in a carried frame, where a geodesic is shortest in no fixed metric."""
        if self.solution is None or self.matches is not None:
            return None
        return float(self.solution.distance)

    @property
    def lengths(self) -> dict[str, float]:
        """Length of each path under the metric, density relative to the start. A path that
        leaves the manifold, such as lerp, is projected onto it first."""
        return {t.name: t.length for t in self.tracks}

    @property
    def density_disagreement(self) -> float:
        """Spread of log p(b) - log p(a), in nats, as integrated along the paths measured.

        An exact score is a gradient, and all paths would agree; a network's is not quite. It is
        the error bar of every log density here.
        """
        ends = [float(t.log_density[-1]) for t in self.tracks]
        return max(ends) - min(ends)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before the figures are believed, in plain words."""
        from diffusion_geodesics.apps.cautions import warnings_of

        return warnings_of(self)

    def save(
        self, folder: str | FilePath, *, overwrite: bool = False, video: Video | None = None
    ) -> Written:
        """Write the output folder: result.json, path.safetensors, frames, strip, video, report.

        Args:
            folder: a new folder, or one of our own with ``overwrite``.
            video: how the film plays; mp4 at 10 frames a second by default.

        Raises:
            FileExistsError: the folder exists, and is not one of ours to overwrite.
        """
        from diffusion_geodesics.apps.telling import run_of
        from diffusion_geodesics.report import write_run

        return write_run(folder, run_of(self, video or Video()), overwrite=overwrite)
