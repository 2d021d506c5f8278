"""Directions to extrapolate in: small classes that find the start and the velocity of a ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from diffusion_geodesics.clips import in_mean_intervals
from diffusion_geodesics.diffusion import RatioScore
from diffusion_geodesics.extrapolation.launch import (
    ENDS,
    START,
    Direction,
    Launch,
    Setup,
    around,
    between,
    of_norm,
    solved_velocity,
)
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.latents.coordinates import Ambient
from diffusion_geodesics.manifold import SpaceForm
from diffusion_geodesics.runtime.paths import expand

FORESEEN = 4.0
"""Default t_max, in frames, after a clip: as far as predictions were measured."""
BEYOND = 0.5
"""Default t_max past the second image, in ways between both: frames fall apart further out."""


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
    renewable: ClassVar[bool] = True

    @property
    def images(self) -> tuple[ImageSource, ...]:
        return (self.image,)

    def launch(self, setup: Setup) -> Launch:
        a, b = setup.latents
        coordinates = between(setup, a, b)
        unit = "the way to the second image"
        if self.straight:
            ends = coordinates.coordinates(ENDS, torch.stack([a, b]))
            velocity = space_form(coordinates.manifold).log(ends[0], ends[1])
            return Launch(a, velocity, coordinates, unit, target=b)
        velocity, known = solved_velocity(setup, coordinates, a, b)
        return Launch(a, velocity, coordinates, unit, target=b, **known)

    def settings(self) -> dict[str, object]:
        return _file("towards", self.image, chord=self.straight)

    def description(self) -> str:
        how = "along the chord" if self.straight else "with the geodesic's initial velocity"
        return f"towards the second image, {how}"

    def renewed(self, setup: Setup, x: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """The chord to the image from where the ray is. Costs nothing."""
        return setup.latents[1] - x


@final
@dataclass(frozen=True)
class Past(Direction):
    """From the first image past the second (``image``): the ray begins there with the velocity
    that the geodesic between both has, and goes as far again for each unit of t."""

    image: ImageSource

    @property
    def images(self) -> tuple[ImageSource, ...]:
        return (self.image,)

    def launch(self, setup: Setup) -> Launch:
        a, b = setup.latents
        velocity, known = solved_velocity(setup, between(setup, a, b), a, b, at_end=True)
        unit = "the way from the first image to the second"
        return Launch(b, velocity, around(setup, b), unit, t_max=BEYOND, **known)

    def settings(self) -> dict[str, object]:
        return _file("past", self.image)

    def description(self) -> str:
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
    renewable: ClassVar[bool] = True

    def launch(self, setup: Setup) -> Launch:
        if not self.prompt.strip():
            raise ValueError("the prompt to go towards is empty; say what the image shall show")
        x = setup.latents[0]
        with setup.run.stage("direction"):
            velocity = self.renewed(setup, x[None])[0]
        return of_norm(setup, x, velocity)

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt, self.away)

    def settings(self) -> dict[str, object]:
        return {"to_prompt": self.prompt, "away": self.away}

    def description(self) -> str:
        away = f", away from “{self.away}”" if self.away else ""
        return f"towards “{self.prompt}”{away}"

    def renewed(self, setup: Setup, x: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """The difference of the scores at each latent. Cost: two evaluations each."""
        prompts = setup.encode_prompt(self.prompt), setup.encode_prompt(self.away)
        noised = setup.noised
        ratio = RatioScore(noised.encoded.denoiser, noised.level.timestep, *prompts)
        return ratio(x.new_zeros(len(x)), x)


@final
@dataclass(frozen=True)
class RandomTangent(Direction):
    """A random direction, normal in all coordinates.

    Args:
        seed: of the normal vector.
        as_drawn: a unit of t goes as far as this vector is long, about √d for d coordinates, as
            published; by default as far as the start is from the origin.
    """

    seed: int = 0
    as_drawn: bool = False

    def launch(self, setup: Setup) -> Launch:
        x = setup.latents[0]
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(len(x), generator=generator, dtype=torch.float64).to(x)
        found = of_norm(setup, x, noise)
        if not self.as_drawn:
            return found
        speed = noise.norm() / float(found.coordinates.scale(START))
        velocity = found.velocity * (speed / found.velocity.norm())
        return Launch(x, velocity, found.coordinates, "the length of the random vector")

    def settings(self) -> dict[str, object]:
        return {"random": self.seed, "as_drawn": self.as_drawn}

    def description(self) -> str:
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

    def launch(self, setup: Setup) -> Launch:
        x = setup.latents[0]
        if self.vector.numel() != len(x):
            raise ValueError(
                f"{self.name} has {self.vector.numel()} numbers (shape "
                f"{tuple(self.vector.shape)}); a latent of this model at this size has {len(x)}"
            )
        coordinates = around(setup, x)
        y = coordinates.coordinates(START, x[None])[0]
        vector = self.vector.detach().reshape(-1).to(x) / float(coordinates.scale(START))
        velocity = coordinates.manifold.to_tangent(y, vector)
        return Launch(x, velocity, coordinates, "the length of the given vector")

    def description(self) -> str:
        return f"along {self.name}"


@final
@dataclass(frozen=True)
class ClipVelocity(Direction):
    """As the last frames of a clip move; a unit of t is one frame, at their mean rate.

    A line or a parabola is fitted by least squares to their latents, in the tangent space at the
    last one, at the times when the frames are shown.

    Args:
        frames: how many of the last frames, an odd number of at least 3.
        bend: take the parabola's slope at the last frame, not the line's. It is exact for
            accelerated motion and noisier.

    Raises:
        ValueError: an even number, or fewer than 3.
    """

    frames: int = 5
    bend: bool = False
    strength: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.frames < 3 or self.frames % 2 == 0:
            raise ValueError(
                f"got {self.frames} frames to fit a velocity to; expected an odd number of at "
                "least 3"
            )

    def launch(self, setup: Setup) -> Launch:
        x = setup.latents[-1]
        coordinates, points = around(setup, x), setup.latents
        if not isinstance(coordinates, Ambient):
            points = points * (len(x) ** 0.5 / points.norm(dim=1, keepdim=True))
        pictures = setup.noised.encoded.pictures
        shown = np.asarray(pictures.times or range(len(points)), dtype=np.float64)
        times = in_mean_intervals(shown, pictures.tick)
        velocity = fitted_velocity(points, space_form(coordinates.manifold), self.bend, times)
        return Launch(x, velocity, coordinates, "one frame of the clip", t_max=FORESEEN)

    def settings(self) -> dict[str, object]:
        return {"last": self.frames, "bend": self.bend}

    def description(self) -> str:
        curve = "parabola" if self.bend else "line"
        return f"as the last {self.frames} frames of the clip move ({curve} fitted to latents)"


def _file(name: str, image: ImageSource, **others: object) -> dict[str, object]:
    if not isinstance(image, str | Path):
        return {}
    return {name: str(expand(image).resolve()), **others}


def fitted_velocity(
    points: Float[Tensor, "n dim"],
    space: SpaceForm,
    bend: bool,
    times: Float64[np.ndarray, " n"] | None = None,
) -> Float[Tensor, " dim"]:
    """Velocity at the last of some points, by least squares in the tangent space there: of a line,
    or (``bend``) of a parabola; per unit of the times, which are 0, 1, 2, ... by default."""
    t = torch.from_numpy(np.arange(len(points), dtype=np.float64) if times is None else times)
    powers = (t - t[-1])[:, None] ** torch.arange(3 if bend else 2)
    slope = torch.linalg.pinv(powers)[1]
    offsets = torch.stack([space.log(points[-1], p) for p in points])
    return slope.to(offsets) @ offsets
