"""What a method of interpolation is in a comparison, and what it works from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.comparison.rendered import Renderable
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.diffusion import ConditionCurve, guidance_bump
from diffusion_geodesics.interpolation.paths import coordinates_between
from diffusion_geodesics.latents.choices import curve_of
from diffusion_geodesics.latents.coordinates import Coordinates
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import Noised, invert
from diffusion_geodesics.latents.geometry import Geometry, path_geometry
from diffusion_geodesics.latents.mixture import Mixture
from diffusion_geodesics.latents.settings import Inversion
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.cost import Cost
from diffusion_geodesics.runtime.run import Run

PAIR = [(0, 1)]  # the one pair of a comparison's images


@final
@dataclass(frozen=True, eq=False)
class Context:
    """Two images, encoded and inverted to a noise level: what every method starts from."""

    run: Run  # that counts the cost
    model: DiffusionModel  # that did it
    noised: Noised  # the images
    settings: ComparisonSettings
    inversion_cost: Cost = field(default_factory=Cost)  # of the inversion

    @property
    def images(self) -> Float[Tensor, "2 3 height width"]:
        """Both images at the working size."""
        return self.noised.encoded.images

    @property
    def ends(self) -> Float[Tensor, "2 dim"]:
        """Both latents at the noise level."""
        return self.noised.latents

    @property
    def clean(self) -> Float[Tensor, "2 dim"]:
        """Both clean latents."""
        return self.noised.encoded.clean

    @property
    def curve(self) -> ConditionCurve:
        """The condition along the path."""
        encoded = self.noised.encoded
        return curve_of(encoded.prompts.blend, *encoded.conditions)

    def at(self, inversion: Inversion) -> Context:
        """The same images at another noise level. Costs an inversion."""
        return replace(self, noised=invert(self.run, self.noised.encoded, inversion))

    def against(self, negative: str) -> Context:
        """The same with another negative prompt."""
        encoded = replace(self.noised.encoded, negative=self.model.encode_prompt(negative))
        return replace(self, noised=replace(self.noised, encoded=encoded))

    def geometry(self) -> tuple[Geometry, Coordinates]:
        """The metric that paths are measured in, and its coordinates."""
        metric, seed = self.settings.metric, self.settings.measuring.seed
        coordinates = coordinates_between(self.noised, PAIR, flat=metric.flat)
        return path_geometry(self.noised, metric, seed, PAIR), coordinates

    def render(
        self,
        latents: Float[Tensor, "frames dim"],
        t: Float[Tensor, " frames"],
        guidance: float = 1.0,
        mixture: Mixture | None = None,
    ) -> Float[Tensor, "frames 3 height width"]:
        """Latents at the noise level, denoised and decoded; or the mixtures there, where they are
        probable."""
        at = t.to(latents)
        return decode(
            self.run,
            self.noised.parts,
            self.noised.inversion,
            latents,
            self.curve.at(at),
            negative=self.noised.encoded.negative,
            guidance=guidance_bump(at, guidance),
            mixed=None if mixture is None else mixture.at(t),
        )


class Method(ABC):
    """One way from image to image. A new one is a small class."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the method, with its settings where they are not the default."""

    @property
    def prompted(self) -> bool:
        """Whether it needs a prompt."""
        return False

    @abstractmethod
    def path(self, context: Context, pair: str) -> Renderable:
        """The path between the two images of a context; ``pair`` is the name of the pair."""


def column(t: Float[Tensor, " frames"], axes: int) -> Tensor:
    """Curve parameters ready to be multiplied with a tensor (frames, ...) of so many axes."""
    return t.float().reshape(-1, *[1] * (axes - 1))
