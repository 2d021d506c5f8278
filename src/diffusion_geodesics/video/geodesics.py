"""Geodesics between ends, in batches, and the paths between the ends of a whole shot."""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import BoundaryProblem, Solution, Step, solve_bvp
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.coordinates import Ambient
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.latents.memory import SOLVER_COPIES
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Flat, Sphere
from diffusion_geodesics.path import GreatArc, Line
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.curves import at_arc_length
from diffusion_geodesics.video.settings import VideoSolve
from diffusion_geodesics.video.statistics import FRACTIONS

_SOLVER_BYTES = 256e6


@final
@dataclass(frozen=True)
class EndsPath:
    """A path between the first and the last frame of a shot, for plots and strips."""

    name: str
    t: Float[Tensor, " time"]
    log_density: Float[Tensor, " time"]  # log p less that of the first frame, in nats
    noise_energy: Float[Tensor, " time"]  # σ‖s‖/√dim
    points: Float[Tensor, "fractions dim"]  # dense along it, at equal fractions of its length
    length: float  # in the metric


@final
@dataclass(frozen=True)
class Geodesics:
    """Geodesics between pairs of ends; NaN where none was found."""

    points: Float[Tensor, "fractions pairs dim"]  # at equal fractions of their lengths
    length: Float[Tensor, " pairs"]  # in the metric
    converged: int
    residual: float  # the largest
    solutions: tuple[Solution, ...]  # of the batches

    def locate(self, pair: int) -> tuple[Solution, int]:
        """The solution that a pair is in, and its place there."""
        for solution in self.solutions:
            if pair < len(solution.results):
                return solution, pair
            pair -= len(solution.results)
        raise IndexError(f"got pair {pair} too many")


def solve(
    run: Run,
    geometry: Geometry,
    sphere: Sphere,
    ends: Float[Tensor, "2 pairs dim"],
    settings: VideoSolve,
    detail: str,
) -> Geodesics:
    """Geodesics between many pairs, in batches that fit into memory."""
    pairs, dim = ends.shape[1:]
    finest = settings.intervals[-1]
    most = max(1, int(_SOLVER_BYTES / (SOLVER_COPIES * finest * dim * ends.element_size())))
    t = torch.linspace(0, 1, 2 * finest + 1, dtype=torch.float64)
    fraction = torch.linspace(0, 1, FRACTIONS, dtype=torch.float64).to(ends)[:, None]
    connection, solver = geometry.connection(Ambient(sphere)), solver_of(settings)
    limits = {"tol": settings.tol, "max_steps": settings.max_steps}
    solutions: list[Solution] = []
    curves: list[Tensor] = []
    with run.stage("solve", total=math.ceil(pairs / most)) as stage:
        for number, (first, last) in enumerate(zip(*(e.split(most) for e in ends), strict=True)):

            def show(step: Step, number: int = number) -> None:
                stage(number, detail=detail, residual=float(step.residual.max()))

            problem = BoundaryProblem(connection, GreatArc(first, last))
            solution = solve_bvp(problem, solver, callback=show, **limits)
            good = torch.tensor([r.ok for r in solution.results], device=ends.device)
            even = at_arc_length(solution.path(t), fraction.expand(-1, len(first)))
            curves.append(torch.where(good[:, None], even, torch.nan))
            solutions.append(solution)
            stage(number + 1, detail=detail)
    points, length = torch.cat(curves, 1), torch.cat([s.distance for s in solutions])
    return Geodesics(
        points,
        torch.where(torch.isfinite(points[0, :, 0]), length, torch.nan),
        sum(r.ok for s in solutions for r in s.results),
        max(float(s.residual.max()) for s in solutions),
        tuple(solutions),
    )


def ends_paths(
    geometry: Geometry, sphere: Sphere, points: Float[Tensor, "n dim"], solved: Geodesics, pair: int
) -> tuple[EndsPath, ...]:
    """Geodesic (the one solved for a pair), slerp and lerp between the first and the last point.
    Costs 33 score evaluations for each of the latter two."""
    start, end = points[0], points[-1]
    fraction = torch.linspace(0, 1, FRACTIONS, dtype=torch.float64)
    shown: list[EndsPath] = []
    if bool(torch.isfinite(solved.length[pair])):
        solution, place = solved.locate(pair)
        found = solution.profile
        energy = geometry.noise_energy(found.score[:, place])
        curve, length = solved.points[:, pair], float(solved.length[pair])
        density = found.log_density[:, place]
        shown.append(EndsPath("geodesic", found.t.cpu(), density, energy, curve, length))
    for name, path, manifold in (
        ("slerp", GreatArc(start, end), sphere),
        ("lerp", Line(start, end), Flat()),
    ):
        found = measure(geometry.connection(Ambient(manifold)), path, intervals=32)
        energy = geometry.noise_energy(found.score)
        curve, length = path(fraction), float(found.distance)
        shown.append(EndsPath(name, found.t.cpu(), found.log_density, energy, curve, length))
    return tuple(shown)
