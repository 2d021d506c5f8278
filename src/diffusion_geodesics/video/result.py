"""The result of an analysis of clips: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.latents.domain import Familiarity
from diffusion_geodesics.measures import Interval
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.shot import Measured


@final
@dataclass(frozen=True)
class PathFrames:
    """Some frames of one path: images with values in [0, 1]."""

    name: str
    images: Float[Tensor, "frames 3 height width"]


@final
@dataclass(frozen=True, eq=False)
class ShotAnalysis:
    """What was found about one shot of a clip."""

    clip: str  # its name
    number: int  # of the shot in it, from 0
    frames: Int[Tensor, " n"]  # numbers of its frames in the file
    times: Float[Tensor, " n"]  # when they are shown, in seconds
    ended: str  # why the shot ended, in words; empty where the clip did
    measured: Measured  # statistics of clip and controls, densities, paths
    norms: Float[Tensor, " n"]  # norm of each latent, before it is brought to the sphere
    steps: Float[Tensor, " steps"]  # distance of neighbouring frames, in a mean interval
    known: Familiarity  # how well the model knows such frames
    strips: tuple[PathFrames, ...]  # frames of clip, geodesic, slerp and lerp
    radius: float  # of the sphere
    sigma: float  # noise level
    alpha: float  # α of the metric
    dim: int  # coordinates of a latent
    half: int  # frames on either side of the local fits

    @property
    def name(self) -> str:
        """The clip, and which shot of it."""
        return f"{self.clip}, part {self.number + 1}" if self.number or self.ended else self.clip

    @property
    def foreign(self) -> tuple[str, ...]:
        """Why the model does not know such frames; nothing where it does."""
        return self.known.reasons

    @property
    def density_disagreement(self) -> float | None:
        """Spread of log p(last) - log p(first), in nats, over clip, geodesic, slerp and lerp: the
        error bar of all log densities here, 0 for an exact score."""
        found = self.measured
        ends = [float(found.log_density[-1]), *(float(p.log_density[-1]) for p in found.paths)]
        return max(ends) - min(ends) if found.paths else None


@final
@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and what was found."""

    claim: str  # in words
    found: str  # the figures
    holds: bool | None  # whether they bear it out; None where they do not decide

    @property
    def verdict(self) -> str:
        """In words."""
        words = {True: "holds here", False: "the opposite here", None: "not decided here"}
        return words[self.holds]


@final
@dataclass(frozen=True, eq=False)
class VideoResult:
    """What was found about clips."""

    settings: VideoSettings
    model: ModelInfo
    sources: tuple[str, ...]  # files and folders of the clips; empty for those that came from none
    shots: tuple[ShotAnalysis, ...]  # of all clips, in order
    notes: tuple[str, ...]  # what was done to the clips, in words
    # Every statistic of clip and controls, as a mean with its interval over `counted` clips, or
    # over windows where there are fewer than five clips.
    summary: Mapping[Variant, Mapping[str, Interval]]
    claims: tuple[Claim, ...]  # the paper's; none without controls, or where no clip is known
    costs: CostBreakdown
    warnings: tuple[Diagnostic, ...] = ()  # what must be known before the figures are believed

    @property
    def foreign(self) -> dict[str, tuple[str, ...]]:
        """Shots that the model does not know, by name, and the reasons."""
        found = {s.name: s.foreign for s in self.shots}
        return {name: reasons for name, reasons in found.items() if reasons}

    @property
    def counted(self) -> tuple[ShotAnalysis, ...]:
        """The shots that the summary is over: those that the model knows, or all if it knows
        none."""
        return counted(self.shots)


def counted(shots: tuple[ShotAnalysis, ...]) -> tuple[ShotAnalysis, ...]:
    """The shots that the model knows, or all if it knows none."""
    return tuple(s for s in shots if not s.foreign) or shots
