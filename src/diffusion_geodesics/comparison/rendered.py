"""A path of images before anybody has chosen where its frames are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.latents.mixture import Mixture
from diffusion_geodesics.latents.profile import LatentPath
from diffusion_geodesics.measures import Features, equal_steps, nearest_frames
from diffusion_geodesics.runtime.cost import Cost
from diffusion_geodesics.runtime.run import Run

PASSES = 2  # how often frames are moved to equal steps of the arc length that is known by then

Images = Float[Tensor, "frames 3 height width"]
Render = Callable[[Float[Tensor, " frames"]], Images]  # curve parameters to images


@final
@dataclass(frozen=True, eq=False)
class EvenFrames:
    """Frames at equal feature steps."""

    frames: Images  # in 256 levels, so that files hold exactly these
    t: Float[Tensor, " frames"]  # curve parameter of each
    cost: Cost  # of as many frames, had it been known where they are


class Renderable(ABC):
    """What a method found."""

    latent_path: LatentPath | None = None  # at the context's noise level; None where there is none
    note: str = ""  # how a solver ended, where it did not converge
    own_inversion: bool = False  # so that the shared one is no part of its cost

    @abstractmethod
    def frames(self, run: Run, features: Features, count: int) -> EvenFrames:
        """``count`` frames at equal steps of the features; ``run`` has counted their cost."""


@final
@dataclass(frozen=True, eq=False)
class Rendered(Renderable):
    """A path that can be rendered anywhere."""

    render: Render  # curve parameters to images
    # latent_path, note, own_inversion: as in `Renderable`
    latent_path: LatentPath | None = None
    note: str = ""
    own_inversion: bool = False
    mixture: Mixture | None = None  # that the images show where it is probable

    def frames(self, run: Run, features: Features, count: int) -> EvenFrames:
        """Rendered at equal parameters, then where the arc length seen so far has equal fractions,
        as often as `PASSES` says. Costs ``count + PASSES * (count - 2)`` frames."""
        seen = torch.linspace(0, 1, count, dtype=torch.float64)
        found = eight_bits(self.render(seen))
        ends, t, inner, cost = found[[0, -1]], seen, found[1:-1], Cost()
        known = features(found)
        for _ in range(PASSES):
            t = equal_steps(seen, known, count)
            before = run.costs.total
            inner = eight_bits(self.render(t[1:-1]))
            cost = run.costs.total - before
            order = torch.cat([seen, t[1:-1]]).argsort(stable=True)
            seen = torch.cat([seen, t[1:-1]])[order]
            known = torch.cat([known, features(inner)])[order]
        share = count / max(count - 2, 1) if self.mixture is None else 1.0
        return EvenFrames(torch.cat([ends[:1], inner, ends[1:]]), t, cost.scaled(share))


@final
@dataclass(frozen=True, eq=False)
class Fixed(Renderable):
    """Frames that are there already, in order: those nearest to equal steps are taken."""

    images: Images  # at least 3

    def frames(self, run: Run, features: Features, count: int) -> EvenFrames:
        images = eight_bits(self.images)
        index = nearest_frames(features(images), count)
        t = torch.linspace(0, 1, len(images), dtype=torch.float64)[index]
        return EvenFrames(images[index], t, Cost())


def eight_bits(images: Images) -> Images:
    """Rounded to 256 levels, float32 on the CPU."""
    return (images.detach().to("cpu", torch.float32).clamp(0, 1) * 255).round() / 255
