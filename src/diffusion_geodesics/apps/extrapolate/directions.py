"""Directions to extrapolate in: small classes that say what, and find the velocity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.analyze.local_fit import local_fit
from diffusion_geodesics.apps.chart import Chart, FlatChart, shell
from diffusion_geodesics.apps.extrapolate.scene import Scene
from diffusion_geodesics.apps.extrapolate.terrain import Launch, edge_velocity, shell_of
from diffusion_geodesics.apps.job import ImageSource
from diffusion_geodesics.bvp import PreconditionedFlow, Solution, solve_bvp
from diffusion_geodesics.diffusion import RatioScore
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.manifold import SpaceForm
from diffusion_geodesics.path import chord

ANGLE = 0.5
"""Default reach, in start norms, of directions that have no length of their own."""
FORESEEN = 4.0
"""Default reach, in frames, after a clip: as far as predictions were measured."""
BEYOND = 0.5
"""Default reach past the second image, in ways between both: frames fall apart further out."""


class Direction(ABC):
    """Where to go from the start.

    - `images`: further images that it needs, after the start.
    - `renewable`: whether it can be estimated anew along the way.
    - `strength`: α · dim of the metric where none is asked for.
    """

    @property
    def images(self) -> tuple[ImageSource, ...]:
        return ()

    @property
    def renewable(self) -> bool:
        return False

    @property
    def strength(self) -> float:
        return 1.0

    @abstractmethod
    def launch(self, scene: Scene) -> Launch:
        """The start and the velocity. Raises `ValueError` for a direction that is none."""

    @abstractmethod
    def told(self) -> str:
        """What it is, in words."""

    def renewed(
        self, scene: Scene, x: Float[Tensor, "rows dim"]
    ) -> tuple[Float[Tensor, "rows dim"], int]:
        """Directions from latents on the way, of any length, and the network rows spent."""
        raise ValueError(
            f"{self.told()} is a direction that is known once; leave reestimate at 0, or go "
            "towards an image or a prompt"
        )


@final
@dataclass(frozen=True)
class Towards(Direction):
    """Towards a second image; t = 1 is there.

    Args:
        image: the second image.
        straight: take the chord's velocity (great circle, or line) instead of that of the
            geodesic between both, which a boundary value problem gives.
    """

    image: ImageSource
    straight: bool = False

    @property
    def images(self) -> tuple[ImageSource, ...]:
        return (self.image,)

    @property
    def renewable(self) -> bool:
        return True

    def launch(self, scene: Scene) -> Launch:
        a, b = scene.latents
        chart = _between(scene, a, b)
        unit = "the way to the second image"
        if self.straight:
            ends = chart.coordinates(torch.tensor([0.0, 1.0]), torch.stack([a, b]))
            velocity = space_form(chart.manifold).log(ends[0], ends[1])
            return Launch(a, velocity, chart, unit, target=b)
        solution = _solved(scene, chart, a, b)
        velocity, doubt = edge_velocity(solution.path, chart.manifold, scene.settings.intervals[-1])
        return Launch(
            a,
            velocity,
            chart,
            unit,
            target=b,
            doubt=doubt,
            solution=solution,
            rows=solution.score_evals,
            calls=solution.calls,
        )

    def told(self) -> str:
        how = "along the chord" if self.straight else "with the geodesic's initial velocity"
        return f"towards the second image, {how}"

    def renewed(
        self, scene: Scene, x: Float[Tensor, "rows dim"]
    ) -> tuple[Float[Tensor, "rows dim"], int]:
        """The chord to the image from where the ray is."""
        return scene.latents[1] - x, 0


@final
@dataclass(frozen=True)
class Past(Direction):
    """From the first image past the second: the ray begins at the second with the velocity that
    the geodesic between both has there, and goes as far again for each unit of t.

    Args:
        image: the second image.
    """

    image: ImageSource

    @property
    def images(self) -> tuple[ImageSource, ...]:
        return (self.image,)

    def launch(self, scene: Scene) -> Launch:
        a, b = scene.latents
        between = _between(scene, a, b)
        solution = _solved(scene, between, a, b)
        velocity, doubt = edge_velocity(
            solution.path, between.manifold, scene.settings.intervals[-1], at_end=True
        )
        return Launch(
            b,
            velocity,
            shell_of(b, scene.settings.flat),
            "the way from the first image to the second",
            reach=BEYOND,
            doubt=doubt,
            solution=solution,
            rows=solution.score_evals,
            calls=solution.calls,
        )

    def told(self) -> str:
        return "past the second image, with the velocity of the geodesic that ends there"


@final
@dataclass(frozen=True)
class TowardsPrompt(Direction):
    r"""Towards a prompt: the score of p(x | prompt) / p(x | from), tangent part, at the start.

    Args:
        prompt: what the image shall show.
        away: what it shows now; nothing by default.
    """

    prompt: str
    away: str = ""

    @property
    def renewable(self) -> bool:
        return True

    def launch(self, scene: Scene) -> Launch:
        if not self.prompt.strip():
            raise ValueError("the prompt to go towards is empty; say what the image shall show")
        x = scene.latents[0]
        chart = shell_of(x, scene.settings.flat)
        velocity, rows = self.renewed(scene, x[None])
        unit = "the norm of the start (a radian on the shell)"
        return Launch(
            x, _of_norm(velocity[0], x, chart), chart, unit, reach=ANGLE, rows=rows, calls=1
        )

    def told(self) -> str:
        away = f", away from “{self.away}”" if self.away else ""
        return f"towards “{self.prompt}”{away}"

    def renewed(
        self, scene: Scene, x: Float[Tensor, "rows dim"]
    ) -> tuple[Float[Tensor, "rows dim"], int]:
        """The difference of the scores at each latent."""
        ratio = RatioScore(
            scene.denoiser, scene.timestep, scene.encode(self.prompt), scene.encode(self.away)
        )
        return ratio(x.new_zeros(len(x)), x), 2 * len(x)


@final
@dataclass(frozen=True)
class RandomTangent(Direction):
    """A random direction, normal in all coordinates.

    Args:
        seed: of the noise.
    """

    seed: int = 0

    def launch(self, scene: Scene) -> Launch:
        x = scene.latents[0]
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(len(x), generator=generator, dtype=torch.float64).to(x)
        chart = shell_of(x, scene.settings.flat)
        unit = "the norm of the start (a radian on the shell)"
        return Launch(x, _of_norm(noise, x, chart), chart, unit, reach=ANGLE)

    def told(self) -> str:
        return f"in a random direction (seed {self.seed})"


@final
@dataclass(frozen=True, eq=False)
class GivenVector(Direction):
    """A vector of latent coordinates; a unit of t goes as far as it is long.

    Args:
        vector: of as many numbers as a latent has, any shape.
        name: where it came from, for the record.
    """

    vector: Tensor
    name: str = "a vector"

    def launch(self, scene: Scene) -> Launch:
        x = scene.latents[0]
        if self.vector.numel() != len(x):
            raise ValueError(
                f"{self.name} has {self.vector.numel()} numbers (shape "
                f"{tuple(self.vector.shape)}); a latent of this model at this size has {len(x)}"
            )
        chart = shell_of(x, scene.settings.flat)
        scale = float(chart.scale(torch.zeros(1)))
        y = chart.coordinates(torch.zeros(1), x[None])[0]
        velocity = chart.manifold.to_tangent(y, self.vector.detach().reshape(-1).to(x) / scale)
        return Launch(x, velocity, chart, "the length of the given vector")

    def told(self) -> str:
        return f"along {self.name}"

    @staticmethod
    def read(path: str | Path) -> GivenVector:
        """The only array of a .npy or .safetensors file.

        Raises:
            ValueError: no such file, another kind of file, or several arrays in it.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise ValueError(f"{path} does not exist; name a .npy or .safetensors file")
        if path.suffix not in (".npy", ".safetensors"):
            raise ValueError(f"{path} is neither .npy nor .safetensors; convert it")
        try:
            found = _arrays(path)
        except Exception as error:  # both libraries have many, safetensors one of its own
            raise ValueError(f"{path} cannot be read as a vector: {error}") from error
        if len(found) != 1:
            raise ValueError(f"{path} holds {len(found)} arrays; expected one")
        return GivenVector(found[0], path.name)


@final
@dataclass(frozen=True)
class ClipVelocity(Direction):
    r"""As the last frames of a clip move; a unit of t is one frame.

    The latents of the last frames are mapped to the tangent space at the last one, and a line or
    a parabola is fitted there by least squares.

    Args:
        frames: how many of the last frames, an odd number of at least 3.
        bend: take the parabola's slope at the last frame, b1 + m b2, not the line's b1. It is
            exact for accelerated motion and noisier.

    Raises:
        ValueError: an even number, or fewer than 3.
    """

    frames: int = 5
    bend: bool = False

    def __post_init__(self) -> None:
        if self.frames < 3 or self.frames % 2 == 0:
            raise ValueError(
                f"got {self.frames} frames to fit a velocity to; expected an odd number of at "
                "least 3"
            )

    @property
    def strength(self) -> float:
        return 0.0

    def launch(self, scene: Scene) -> Launch:
        x = scene.latents[-1]
        chart = shell_of(x, scene.settings.flat)
        points = scene.latents
        if not isinstance(chart, FlatChart):
            points = points * (len(x) ** 0.5 / points.norm(dim=1, keepdim=True))
        velocity = fitted_velocity(points, space_form(chart.manifold), self.bend)
        return Launch(x, velocity, chart, "one frame of the clip", reach=FORESEEN)

    def told(self) -> str:
        curve = "parabola" if self.bend else "line"
        return f"as the last {self.frames} frames of the clip move ({curve} fitted to latents)"


def _arrays(path: Path) -> list[Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return list(load_file(path).values())
    return [torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float64))]


def fitted_velocity(
    points: Float[Tensor, "n dim"], space: SpaceForm, bend: bool
) -> Float[Tensor, " dim"]:
    """Velocity per point at the last of an odd number of points, by least squares in the tangent
    space there: of a line, or (``bend``) of a parabola."""
    half = len(points) // 2
    fit = local_fit(torch.stack([space.log(points[-1], p) for p in points]), half)
    return fit.velocity[0] + (half * fit.acceleration[0] if bend else 0.0)


def _between(scene: Scene, a: Tensor, b: Tensor) -> Chart:
    return FlatChart() if scene.settings.flat else shell(a, b)


def _solved(scene: Scene, chart: Chart, a: Tensor, b: Tensor) -> Solution:
    """The geodesic between two latents."""
    ends = chart.coordinates(torch.tensor([0.0, 1.0]), torch.stack([a, b]))
    settings = scene.settings
    return solve_bvp(
        scene.terrain.connection(chart),
        PreconditionedFlow(settings.intervals),
        chord(ends[0], ends[1], chart.manifold),
        tol=settings.tol,
        max_steps=settings.max_steps,
        callback=scene.show_step,
        throw=False,
    )


def _of_norm(direction: Tensor, x: Tensor, chart: Chart) -> Tensor:
    """The tangent part of a direction, with the norm of the chart's point. Zero stays zero."""
    y = chart.coordinates(torch.zeros(1), x[None])[0]
    tangent = chart.manifold.to_tangent(y, direction)
    small = 1e-9 * y.norm()
    return tangent * (y.norm() / tangent.norm()) if tangent.norm() > small else 0 * tangent
