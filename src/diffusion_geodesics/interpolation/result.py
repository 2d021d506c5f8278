"""The result of an interpolation: plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.correspondence import Matches
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.interpolation.timeline import Timeline
from diffusion_geodesics.latents.mixture import Mixture
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.latents.profile import LatentProfile
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.diagnostic import Diagnostic


@final
@dataclass(frozen=True)
class ImageDistance:
    """The metamorphosis distance of two images, root mean square of values in [0, 1]."""

    distance: float  # sqrt(motion + appearance)
    error: float  # difference to the distance with two segments: an estimate, no bound
    motion: float  # λ‖v‖², what moving costs
    appearance: float  # mean square of what changes in place


@final
@dataclass(frozen=True, eq=False)
class Segment:
    """The path between two keyframes."""

    first: int  # numbers of the keyframes
    last: int
    profile: LatentProfile  # of the path
    references: tuple[LatentProfile, ...]  # of the paths that it is compared with
    solution: Solution | None  # of the boundary value problem; None for a path that needs none
    matches: Matches | None  # the correspondences that the path follows; None where it follows none
    geodesic: Solution | None  # between both images: as ``solution`` where the path is one
    metamorphosis: ImageDistance | None  # of both images; None where it was not asked for
    mixture: Mixture | None = None  # that the frames of the path show where it is probable

    @property
    def profiles(self) -> tuple[LatentProfile, ...]:
        """Of the path, then of those that it is compared with."""
        return (self.profile, *self.references)

    @property
    def beside(self) -> LatentProfile | None:
        """Of the geodesic, where it was solved for beside the path of the film."""
        return next((p for p in self.references if p.name == "geodesic"), None)

    @property
    def distance(self) -> float | None:
        """Geodesic distance relative to the geometric mean of both ends' densities, whatever path
        the film takes; None where no geodesic was solved for. Where the solver did not converge,
        an upper bound."""
        return None if self.geodesic is None else float(self.geodesic.distance)

    @property
    def distance_error(self) -> float | None:
        """Error bar of the distance."""
        return None if self.geodesic is None else float(self.geodesic.distance_error)

    @property
    def lengths(self) -> dict[str, float]:
        """Length of each path under the metric, density relative to the start; of paths in the
        coordinates that geodesics are sought in only, because others do not compare: on the shell
        not of lerp, and never of a path along correspondences."""
        return {p.name: p.length for p in self.profiles if p.comparable}

    @property
    def density_disagreement(self) -> float:
        """Spread of log p(last) - log p(first), in nats, as integrated along all paths.

        An exact score is a gradient, and all paths would agree; a network's is not quite. It is the
        error bar of every log density here.
        """
        ends = [float(p.log_density[-1]) for p in self.profiles]
        return max(ends) - min(ends)


@final
@dataclass(frozen=True, eq=False)
class Strip:
    """Decoded frames of one path."""

    name: str  # of the path
    frames: Float[Tensor, "frames 3 height width"]  # on the background where transparent
    timeline: Timeline  # where they are
    alpha: Float[Tensor, "frames 1 height width"] | None = None  # opacity; None if opaque


@final
@dataclass(frozen=True, eq=False)
class InterpolationResult:
    """A film through images, with everything that is known about it."""

    settings: InterpolationSettings  # every choice
    model: ModelInfo  # that made it
    pictures: Pictures  # the keyframes at the working size
    strip: Strip  # the frames of the film
    compared: tuple[Strip, ...]  # fewer frames of other paths, beside the film's
    segments: tuple[Segment, ...]  # the paths between the keyframes
    alpha: float  # α of the metric
    dim: int  # coordinates of a latent
    keyframe_psnr: tuple[float, ...]  # of the film at each keyframe against the image, in dB
    codec_psnr: tuple[float, ...]  # through the autoencoder alone: the best that can be had
    costs: CostBreakdown  # by stage
    warnings: tuple[Diagnostic, ...] = ()  # what must be known before the figures are believed

    @property
    def frames(self) -> Float[Tensor, "frames 3 height width"]:
        """The film, values in [0, 1]."""
        return self.strip.frames

    @property
    def times(self) -> Float[Tensor, " frames"]:
        """The place of each frame: number of the segment plus curve parameter on it."""
        return self.strip.timeline.position

    @property
    def log_density(self) -> Float[Tensor, " frames"]:
        """log p at each frame relative to the first keyframe, in nats, at the noise level."""
        found = self.times.new_zeros(len(self.times))
        below = 0.0
        for number, segment in enumerate(self.segments):
            here = self.strip.timeline.segment == number
            t = self.strip.timeline.t[here]
            found[here] = below + segment.profile.log_density_at(t).cpu().to(found)
            below += float(segment.profile.log_density[-1])
        return found

    @property
    def distance(self) -> float | None:
        """Sum of the geodesic distances of all segments; None where a segment has none."""
        return _sum([segment.distance for segment in self.segments])

    @property
    def distance_error(self) -> float | None:
        """Sum of their error bars."""
        return _sum([segment.distance_error for segment in self.segments])

    @property
    def lengths(self) -> dict[str, float]:
        """Sum of the lengths over all segments, of each path whose lengths compare."""
        names = list(self.segments[0].lengths)
        return {name: math.fsum(s.lengths[name] for s in self.segments) for name in names}


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None
