"""Every choice of distances and densities of images."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from diffusion_geodesics.latents import settings as shared
from diffusion_geodesics.runtime.settings import (
    JobSettings,
    SettingsError,
    SettingsGroup,
    flat_fields,
)


class ReferenceName(Enum):
    """What densities are relative to in distances."""

    COMMON = "common"
    """The geometric mean over all images, which makes the distance a metric."""
    ENDS = "ends"
    """The geometric mean of a pair's own two densities."""


class MetricName(Enum):
    """What distances between images are of."""

    DENSITY = "density"
    """Geodesics of the density at the noise level."""
    METAMORPHOSIS = "metamorphosis"
    """Pixels that may move as well as change."""
    LATENT = "latent"
    """The norm of the difference of the clean latents."""
    EUCLIDEAN = "euclidean"
    """The root mean square difference of the pixels."""
    ALL = "all"
    """All of these, and how differently they rank neighbours."""

    @property
    def measured(self) -> tuple["MetricName", ...]:
        """The metrics that are measured, this one first; the Euclidean one always is."""
        every = tuple(name for name in MetricName if name is not MetricName.ALL)
        return every if self is MetricName.ALL else tuple({self: 0, MetricName.EUCLIDEAN: 0})


def metamorphosis_file(resume: Path) -> Path:
    """Where finished metamorphoses are kept, beside the file of the density's pairs."""
    return resume.with_suffix(f".metamorphosis{resume.suffix}")


class DistanceChoice(SettingsGroup):
    """What distances are of."""

    title: ClassVar[str] = "Distance"

    metric: MetricName = MetricName.DENSITY
    """One metric, or all; Euclidean distances are always shown beside it."""
    motion_weight: float = Field(default=shared.MOTION_WEIGHT, gt=0, lt=1e9)
    """λ of metamorphoses: what moving costs, in squares of pixel values per square of half the
    longest edge."""
    edge: int = Field(default=shared.METAMORPHOSIS_EDGE, ge=4, le=shared.MOST_PIXELS)
    """Longest edge in pixels that images are reduced to for metamorphoses."""

    def inert(self) -> Mapping[str, str]:
        if MetricName.METAMORPHOSIS in self.metric.measured:
            return {}
        reason = f"the metric is {self.metric.value}, in which nothing moves"
        return {"motion_weight": reason, "edge": reason}


class DistanceSettings(JobSettings):
    """Settings of :func:`diffusion_geodesics.image_distances`."""

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (("alpha", "strength"),)

    reference: ReferenceName = ReferenceName.COMMON
    """What densities are relative to: the mean over all images, or over each pair."""
    batch: int = Field(default=16, ge=1, le=100_000)
    """Pairs solved in one batch; a run that is killed loses at most one batch."""
    prompts: shared.ContrastedPrompt = shared.ContrastedPrompt()
    framing: shared.Framing = shared.Framing()
    inversion: shared.Inversion = shared.Inversion()
    distance: DistanceChoice = DistanceChoice()
    metric: shared.Metric = shared.Metric()
    solve: shared.Solve = shared.Solve()

    def inert(self) -> Mapping[str, str]:
        chosen, score = self.distance.metric, self.metric.score
        if MetricName.DENSITY not in chosen.measured:
            reason = f"the metric is {chosen.value}, which needs no density"
            groups = (self.prompts, self.inversion, self.metric, self.solve)
            names = (name for group in groups for name in flat_fields(type(group)))
            return dict.fromkeys((*names, "reference", "batch"), reason)
        if score.has_negative:
            return {}
        return {"negative": f"the {score.value} score compares with no other prompt"}

    def check(self) -> None:
        if self.metric.score is shared.ScoreKind.PUBLISHED_RANDOM:
            raise SettingsError(
                "a random score differs at each call, so that distances differ from run to run; "
                "take the published score, which is fixed"
            )


class TraceSettings(shared.SettingsGroup):
    """How log densities are computed."""

    title: ClassVar[str] = "Density"

    probes: int = Field(default=24, ge=3, le=100_000, multiple_of=3)
    """Jacobian products an evaluation of the trace; a multiple of 3."""
    rtol: float = Field(default=1e-3, gt=0, lt=1)
    """Relative tolerance of the solver of the probability flow."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the probes."""


class DensitySettings(JobSettings):
    """Settings of :func:`diffusion_geodesics.image_densities`."""

    prompts: shared.SharedPrompt = shared.SharedPrompt()
    framing: shared.Framing = shared.Framing()
    inversion: shared.Inversion = shared.Inversion()
    trace: TraceSettings = TraceSettings()
