"""Ways to join two latents at a noise level: what interpolations and comparisons have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    BVPSolver,
    PreconditionedFlow,
    PublishedDescent,
    Result,
    Solution,
    Step,
    solve_bvp,
)
from diffusion_geodesics.correspondence import Matches
from diffusion_geodesics.geodesics import initial_paths
from diffusion_geodesics.interpolation.settings import (
    EXCESS,
    InterpolationMetric,
    InterpolationSettings,
    InterpolationSolve,
    PathName,
)
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.coordinates import Ambient, Coordinates, shell
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.geometry import Pair, path_geometry
from diffusion_geodesics.latents.mixture import Mixture
from diffusion_geodesics.latents.profile import LatentPath
from diffusion_geodesics.latents.settings import Metric, ScoreKind, Solve, SolverName
from diffusion_geodesics.latents.warped_path import warped_paths
from diffusion_geodesics.metric import Weight
from diffusion_geodesics.path import GreatArc, HalfwayNorm, Line, Spline, chord
from diffusion_geodesics.runtime.run import Run

_ENDS = torch.tensor([0.0, 1.0], dtype=torch.float64)
NODES = 33
"""Points that a path without derivatives is a spline through."""


@final
@dataclass(frozen=True, eq=False)
class Joined:
    """Paths that join pairs of images."""

    paths: LatentPath  # with one axis of pairs
    solution: Solution | None = None  # of the boundary value problems; None where none was solved
    matches: tuple[Matches, ...] | None = None  # that the paths follow; None where they follow none
    mixtures: tuple[Mixture, ...] | None = None  # that frames show where they are probable
    note: str = ""  # what must be known about it, in words; empty where all is well


class PathMethod(ABC):
    """A way to join two latents. A new one is a small class like those below."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the method, with its settings where they are not the default."""

    @property
    def prompted(self) -> bool:
        """Whether it needs a prompt."""
        return False

    @abstractmethod
    def join(self, run: Run, noised: Noised, pairs: Sequence[Pair]) -> Joined:
        """The path between the two images of each pair."""


def ends_of(noised: Noised, pairs: Sequence[Pair]) -> Float[Tensor, "2 pairs dim"]:
    """Both latents of each pair."""
    index = torch.tensor(list(pairs), device=noised.latents.device).T
    return noised.latents[index]


def coordinates_between(noised: Noised, pairs: Sequence[Pair], *, flat: bool) -> Coordinates:
    """The coordinates that lengths are measured in: flat space, or the shells of the pairs."""
    return Ambient() if flat else shell(*ends_of(noised, pairs))


@final
@dataclass(frozen=True)
class Slerp(PathMethod):
    """The great circle, norms interpolated. Costs nothing."""

    flat: bool = False  # in the coordinates of flat space instead of the shell's; the same curve

    @property
    def name(self) -> str:
        return "slerp"

    def join(self, run: Run, noised: Noised, pairs: Sequence[Pair]) -> Joined:
        ends = ends_of(noised, pairs)
        coordinates = coordinates_between(noised, pairs, flat=self.flat)
        corners = coordinates.coordinates(_ENDS, ends)
        return Joined(LatentPath(self.name, GreatArc(corners[0], corners[1]), coordinates))


@final
@dataclass(frozen=True)
class Lerp(PathMethod):
    """The straight line, which loses norm half-way. Costs nothing."""

    @property
    def name(self) -> str:
        return "lerp"

    def join(self, run: Run, noised: Noised, pairs: Sequence[Pair]) -> Joined:
        ends = ends_of(noised, pairs)
        return Joined(LatentPath(self.name, Line(ends[0], ends[1]), Ambient()))


@final
@dataclass(frozen=True)
class Hlerp(PathMethod):
    """The direction of lerp, with a norm halfway between lerp's and slerp's. Costs nothing."""

    @property
    def name(self) -> str:
        return "hlerp"

    def join(self, run: Run, noised: Noised, pairs: Sequence[Pair]) -> Joined:
        ends = ends_of(noised, pairs)
        t = torch.linspace(0, 1, NODES, dtype=torch.float64)
        path = Spline(HalfwayNorm(ends[0], ends[1])(t))
        return Joined(LatentPath(self.name, path, Ambient()))


@final
@dataclass(frozen=True)
class Geodesic(PathMethod):
    """The probability density geodesic at the noise level."""

    metric: Metric = field(default_factory=Metric)  # whose geodesic
    solve: Solve = field(default_factory=InterpolationSolve)  # how it is solved for
    weight: Weight | None = None  # of log p in the metric, in place of the power α
    solver: BVPSolver | None = None  # in place of the one that ``solve`` names
    label: str = "geodesic"  # what to call it
    stage: str = "solve"  # that its cost is counted in

    @property
    def name(self) -> str:
        return self.label

    @property
    def prompted(self) -> bool:
        return self.metric.score.contrasts

    def join(self, run: Run, noised: Noised, pairs: Sequence[Pair]) -> Joined:
        """Solve for the geodesics of all pairs in one batch: at the default settings about 60 to
        330 score evaluations a pair."""
        coordinates = coordinates_between(noised, pairs, flat=self.metric.flat)
        return self.joined(run, noised, pairs, coordinates)

    def joined(
        self, run: Run, noised: Noised, pairs: Sequence[Pair], coordinates: Coordinates
    ) -> Joined:
        """The geodesics in given coordinates."""
        geometry = path_geometry(noised, self.metric, self.solve.seed, pairs)
        corners = coordinates.coordinates(_ENDS, ends_of(noised, pairs))
        solve = self.solve
        with run.stage(self.stage, total=0) as stage:

            def show(step: Step) -> None:
                residual, length = float(step.residual.max()), float(step.length.sum())
                stage(step.iteration, residual=residual, length=length)

            a, b = corners
            starts = initial_paths(a, b, coordinates.manifold, solve.starts, solve.seed)
            solution = solve_bvp(
                BoundaryProblem(geometry.search(coordinates, self.weight), starts),
                self.solver or solver_of(solve),
                tol=solve.tol,
                max_steps=solve.max_steps,
                callback=show,
            )
        note = "" if solution.result is Result.converged else solution.result.name
        paths = LatentPath(self.name, solution.path, coordinates)
        return Joined(paths, solution, note=note.replace("_", " "))


BEND_VERIFICATION = 16
"""Chebyshev intervals at which a natural path is measured: enough to place frames along it."""


@final
@dataclass(frozen=True)
class Natural(PathMethod):
    """The path along correspondences between the images, bent by the density about itself. Its
    frames show the mixture of the warped images where that is as probable as both images, and what
    the network makes of the path elsewhere.

    It is a geodesic in a moving frame only, and has no distance; so few nodes and points of the
    verification will do. Where a network has no features to match images by, the great circle takes
    the place of the warped path, and it is the geodesic."""

    metric: Metric = field(default_factory=InterpolationMetric)
    solve: InterpolationSolve = field(default_factory=InterpolationSolve)  # of the bending
    excess: float = EXCESS  # of the mixtures' denoising error; 0 for frames of the path alone
    label: str = "natural"

    @property
    def name(self) -> str:
        return self.label

    @property
    def prompted(self) -> bool:
        return self.metric.score.contrasts

    def join(self, run: Run, noised: Noised, pairs: Sequence[Pair]) -> Joined:
        """Match the images of each pair, warp them, and solve for the bending in one batch: 24
        evaluations and 31 encodings a pair, 10 for the mixture, and the solver's."""
        still = coordinates_between(noised, pairs, flat=self.metric.flat)
        warped = warped_paths(run, noised, pairs, still, self.solve.seed, self.excess)
        coordinates: Coordinates = still if warped is None else warped.frame
        matches = None if warped is None else warped.matches
        mixtures = None if warped is None else warped.mixtures
        note = "" if warped else "no features to match the images by: not warped"
        if self.metric.alpha_for(noised.encoded.dim) > 0:
            solver = bending_solver(self.solve) if warped else None
            bent = Geodesic(self.metric, self.solve, solver=solver, label=self.name)
            found = bent.joined(run, noised, pairs, coordinates)
            notes = ", ".join(filter(None, (note, found.note)))
            return Joined(found.paths, found.solution, matches, mixtures, notes)
        corners = coordinates.coordinates(_ENDS, ends_of(noised, pairs))
        path = chord(corners[0], corners[1], coordinates.manifold)
        return Joined(LatentPath(self.name, path, coordinates), None, matches, mixtures, note)


def bending_solver(solve: InterpolationSolve) -> PreconditionedFlow | PublishedDescent:
    """What solves for the bending of a natural path."""
    if solve.solver is SolverName.PRECONDITIONED:
        return PreconditionedFlow((solve.bend_intervals,), verification=BEND_VERIFICATION)
    return solver_of(solve)


def path_method(settings: InterpolationSettings) -> PathMethod:
    """The path that settings name."""
    match settings.path:
        case PathName.NATURAL:
            return Natural(settings.metric, settings.solve, settings.excess_used)
        case PathName.GEODESIC:
            return Geodesic(settings.metric, settings.solve)
        case PathName.SLERP:
            return Slerp(settings.metric.flat)
        case PathName.LERP:
            return Lerp()
        case PathName.HLERP:
            return Hlerp()


def references(settings: InterpolationSettings) -> tuple[PathMethod, ...]:
    """Slerp and lerp, but the path of the settings, which are compared with it."""
    slerp, lerp = Slerp(settings.metric.flat), Lerp()
    if settings.path is PathName.SLERP:
        return (lerp,)
    return (slerp,) if settings.path is PathName.LERP else (slerp, lerp)


PAIR_STEPS = 7
"""Most steps of the solver for the geodesic that every run reports beside the path of its film."""
PAIR_INTERVALS = 16
"""Intervals of its nodes."""
PAIR_VERIFICATION = 32
"""Chebyshev intervals at which it is measured."""


def pair_geodesic(settings: InterpolationSettings) -> Geodesic:
    """The geodesic that every run reports beside the path of its film, always solved for alike.

    Where the score of the metric is random, the fixed average takes its place. Cost: at most 193
    score evaluations a pair: 2 ends, 15 nodes for 8 iterates, 33 points of the verification, and 38
    where it seems longer than the great circle.
    """
    metric, solve = settings.metric, settings.solve
    if metric.score is ScoreKind.PUBLISHED_RANDOM:
        metric = metric.model_copy(update={"score": ScoreKind.PUBLISHED})
    return Geodesic(
        metric,
        InterpolationSolve(max_steps=PAIR_STEPS, seed=solve.seed),
        solver=PreconditionedFlow((PAIR_INTERVALS,), verification=PAIR_VERIFICATION),
        stage="geodesic",
    )
