"""Methods that join two latents at the noise level: path methods, and the paper's algorithm."""

from dataclasses import dataclass, field, replace
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.comparison.method import PAIR, Context, Method
from diffusion_geodesics.comparison.rendered import Images, Renderable, Rendered
from diffusion_geodesics.interpolation.paths import Geodesic, PathMethod, Slerp
from diffusion_geodesics.interpolation.settings import InterpolationSettings


@final
@dataclass(frozen=True)
class AtLevel(Method):
    """A path between both latents at the noise level, denoised."""

    method: PathMethod = field(default_factory=Slerp)  # the path
    guidance: float = 1.0  # weight half-way while denoising; other than 1 needs a prompt

    @property
    def name(self) -> str:
        return self.method.name + ("" if self.guidance == 1 else f" + bump {self.guidance:g}")

    @property
    def prompted(self) -> bool:
        return self.guidance != 1 or self.method.prompted

    def path(self, context: Context, pair: str) -> Rendered:
        joined = self.method.join(context.run, context.noised, PAIR)
        path = replace(joined.paths, name=self.name)
        one, mixture = path.pair(0), None
        if joined.mixtures is not None and self.guidance == 1:
            (mixture,) = joined.mixtures

        def show(t: Float[Tensor, " frames"]) -> Images:
            return context.render(one.latent(t), t, self.guidance, mixture)

        return Rendered(show, path, joined.note, mixture=mixture)


@final
@dataclass(frozen=True)
class PublishedMethod(Method):
    """The paper's algorithm at its published settings.

    They include the noise level, 0.6 of 50 DDIM steps, so that it has an inversion of its own. With
    ``same_level`` solver, score and strength are theirs and the level is the context's. Their text
    inversion is left out.
    """

    same_level: bool = False  # start from the inversion that all other methods start from
    # the published settings
    settings: InterpolationSettings = field(
        default_factory=lambda: InterpolationSettings.preset("published")
    )

    @property
    def name(self) -> str:
        return "published" + (" at the same level" if self.same_level else "")

    def path(self, context: Context, pair: str) -> Renderable:
        theirs = self.settings
        own = context.against(theirs.prompts.negative)
        if not self.same_level:
            own = own.at(theirs.inversion)
        found = AtLevel(Geodesic(theirs.metric, theirs.solve, label=self.name)).path(own, pair)
        # At another level the density is another one: what is measured along the path would not
        # compare.
        path = found.latent_path if self.same_level else None
        return replace(found, latent_path=path, own_inversion=not self.same_level)
