"""Methods of interpolation: where each begins and ends, and the formulas that they follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import StringMethod
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.comparison.at_level import AtLevel, PublishedMethod
from diffusion_geodesics.comparison.baselines import (
    CorrectedNoise,
    FullNoise,
    LatentLerp,
    OtherProgram,
    PixelBlend,
)
from diffusion_geodesics.comparison.compare import context_of
from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.rendered import Rendered, eight_bits
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.interpolation.paths import Geodesic, Hlerp, Lerp, Natural
from diffusion_geodesics.interpolation.settings import (
    PUBLISHED_NEGATIVE,
    InterpolationMetric,
    InterpolationSettings,
)
from diffusion_geodesics.latents.settings import (
    Inversion,
    Metric,
    SamplerName,
    ScoreKind,
    SolverName,
)
from diffusion_geodesics.measures import PooledPixels
from diffusion_geodesics.metric import Hinged
from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.runtime.run import Run
from tests.comparison.scenes import PROMPTED, context, fade, pair, write_strip
from tests.correspondence.scenes import function_model

BOTH = torch.tensor([0.0, 1.0], dtype=torch.float64)
QUICK_METRIC = Metric(strength=2.0, score=ScoreKind.RATIO, flat=True)
AT_LEVEL = (
    AtLevel(Lerp()),
    AtLevel(),
    AtLevel(Hlerp()),
    AtLevel(guidance=2.0),
    AtLevel(Geodesic()),
    AtLevel(Geodesic(QUICK_METRIC), 1.5),
    AtLevel(Geodesic(weight=Hinged(1e-3, 1.0))),
    AtLevel(Natural(InterpolationMetric(strength=0.0))),
    AtLevel(Natural(), 1.5),
    AtLevel(Geodesic(solver=StringMethod((16,)), label="string method")),
)
METHODS = (PixelBlend(), LatentLerp(), FullNoise(), CorrectedNoise(), *AT_LEVEL)


@pytest.fixture(scope="module")
def here() -> Context:
    return context()


def noisy_ends(here: Context, method: CorrectedNoise) -> Tensor:
    """The formula of corrected noise at both ends: [[x]_c + a (m - 1) z]_c."""
    bound = method.bound * float(here.ends.square().mean().sqrt())
    level = here.noised.level
    kept = here.ends.clamp(-bound, bound) + level.a * (method.signal - 1) * here.clean
    return kept.clamp(-bound, bound)


def ends_of(method: Method, here: Context) -> Tensor:
    """What a method's first and last frame are, exactly."""
    match method:
        case PixelBlend():
            return here.images
        case LatentLerp():
            return here.noised.encoded.codec.decode(here.clean)
        case CorrectedNoise():
            return here.render(noisy_ends(here, method), BOTH)
        case FullNoise():
            top = here.at(here.noised.inversion.model_copy(update={"level": 1.0}))
            return top.render(top.ends, BOTH)
        case _:
            return here.render(here.ends, BOTH)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_joins_both_images_exactly_as_it_says(here: Context, method: Method) -> None:
    film = method.path(here, "pair").frames(here.run, PooledPixels(), 3)
    assert film.frames.shape == (3, *here.images.shape[1:])
    assert (float(film.t[0]), float(film.t[-1])) == (0.0, 1.0)
    expected = eight_bits(ends_of(method, here))
    assert_close(film.frames[[0, -1]], expected, rtol=0, atol=1.01 / 255)
    again = method.path(here, "pair").frames(here.run, PooledPixels(), 3)
    assert torch.equal(again.frames, film.frames)


@pytest.mark.parametrize("method", AT_LEVEL, ids=lambda m: m.name)
def test_paths_at_the_level_start_from_the_same_ends(here: Context, method: Method) -> None:
    path = method.path(here, "pair").latent_path
    assert path is not None
    assert path.name == method.name
    assert_close(path.latent(BOTH)[:, 0], here.ends, rtol=1e-6, atol=1e-6)
    assert not method.path(here, "pair").own_inversion


def test_methods_off_the_level_have_no_latent_path(here: Context) -> None:
    for method in (PixelBlend(), LatentLerp(), FullNoise()):
        assert method.path(here, "pair").latent_path is None
    assert FullNoise().path(here, "pair").own_inversion
    assert not PixelBlend().path(here, "pair").own_inversion


def test_names_tell_methods_apart_and_prompts_are_asked_for_where_they_matter() -> None:
    assert len({m.name for m in METHODS}) == len(METHODS) - 1, "two geodesics without a label"
    assert AtLevel(guidance=2.0).name == "slerp + bump 2"
    prompted = {m.name for m in METHODS if m.prompted}
    assert prompted == {"slerp + bump 2", "geodesic + bump 1.5", "natural + bump 1.5"}
    assert AtLevel(Geodesic(QUICK_METRIC)).prompted, "a ratio of densities compares prompts"


def rendered(method: Method, here: Context) -> Rendered:
    found = method.path(here, "pair")
    assert isinstance(found, Rendered)
    return found


def test_cross_fades_of_pixels_and_of_latents_follow_their_formulas(here: Context) -> None:
    t = torch.tensor([0.25, 0.5], dtype=torch.float64)
    u = t[:, None, None, None].float()
    expected = (1 - u) * here.images[0] + u * here.images[1]
    assert_close(rendered(PixelBlend(), here).render(t), expected)
    clean = torch.lerp(here.clean[0], here.clean[1], t[:, None])
    decoded = here.noised.encoded.codec.decode(clean)
    assert_close(rendered(LatentLerp(), here).render(t), decoded)


def test_corrected_noise_follows_its_formula(here: Context) -> None:
    path = CorrectedNoise(bound=1e6, signal=1.2).path(here, "pair").latent_path
    assert path is not None
    half = path.latent(torch.tensor([0.5], dtype=torch.float64))[0, 0]
    root, a = math.sqrt(0.5), here.noised.level.a
    exact = root * here.ends.sum(0) + a * (0.6 - root) * here.clean.sum(0)
    assert_close(half, exact)
    bounded = CorrectedNoise(bound=0.5).path(here, "pair").latent_path
    assert bounded is not None
    limit = 0.5 * float(here.ends.square().mean().sqrt())
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    assert float(bounded.latent(t).abs().max()) <= limit * (1 + 1e-9)


def test_full_noise_is_the_great_circle_at_pure_noise_with_ddim(here: Context) -> None:
    heun = context(PROMPTED.updated(sampler=SamplerName.HEUN))
    top = heun.at(Inversion(level=1.0, steps=6, refinements=6))
    t = torch.tensor([0.3], dtype=torch.float64)
    expected = top.render(GreatArc(top.ends[0], top.ends[1])(t), t)
    assert_close(rendered(FullNoise(), heun).render(t), expected)


def test_guidance_acts_between_the_ends_only(here: Context) -> None:
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    plain = rendered(AtLevel(), here).render(t)
    bump = rendered(AtLevel(guidance=3.0), here).render(t)
    assert_close(bump[[0, 2]], plain[[0, 2]])
    assert float((bump[1] - plain[1]).abs().max()) > 1e-2


@dataclass(frozen=True)
class Halved(Method):
    """The great circle at another level: a method is one small class."""

    @property
    def name(self) -> str:
        return "halved"

    def path(self, context: Context, pair: str) -> Rendered:
        half = context.noised.inversion.level / 2
        own = context.at(context.noised.inversion.model_copy(update={"level": half}))
        path = GreatArc(own.ends[0], own.ends[1])
        return Rendered(lambda t: own.render(path(t), t), own_inversion=True)


def test_the_mixture_of_a_natural_path_is_shown_but_with_guidance() -> None:
    settings = PROMPTED.updated(size=(16, 24))
    here = context_of(function_model(), pair(), settings)
    plain, guided = AtLevel(Natural()), AtLevel(Natural(), 1.5)
    found = plain.path(here, "pair")
    assert found.mixture is not None
    assert guided.path(here, "pair").mixture is None
    assert AtLevel(Natural(excess=0.0)).path(here, "pair").mixture is None
    before = here.run.costs["decode"].nfe
    shown = found.render(BOTH)
    assert here.run.costs["decode"].nfe == before, "the images themselves cost nothing"
    assert_close(shown, here.noised.encoded.codec.decode(here.clean), rtol=0, atol=1e-5)


def test_with_a_bump_a_natural_path_has_no_mixture_and_takes_no_excess() -> None:
    method = read_method("natural:strength=0,bump=2")
    assert isinstance(method, AtLevel)
    assert method.method == Natural(
        InterpolationMetric(strength=0.0), excess=0.0, label="natural 0"
    )
    with pytest.raises(ValueError, match="no effect with a bump"):
        read_method("natural:excess=0.2,bump=2")


def test_a_context_goes_to_another_level_and_the_cost_is_counted(here: Context) -> None:
    before = here.run.costs["invert"].nfe
    found = rendered(Halved(), here).render(BOTH)
    assert here.run.costs["invert"].nfe - before >= 2 * 2, "two images, two rungs"
    assert_close(found, here.images.to(found), rtol=0, atol=0.02)


# The paper's algorithm


def test_the_published_settings_are_those_of_the_paper() -> None:
    theirs = PublishedMethod().settings
    assert theirs == InterpolationSettings.preset("published")
    assert (theirs.inversion.level, theirs.inversion.steps) == (0.6, 50)
    assert theirs.inversion.sampler is SamplerName.DDIM
    assert theirs.metric.alpha == 0.002
    assert theirs.metric.score is ScoreKind.PUBLISHED_RANDOM
    assert theirs.metric.window == 0.1
    assert not theirs.metric.flat
    assert theirs.solve.solver is SolverName.PUBLISHED
    assert theirs.prompts.negative == PUBLISHED_NEGATIVE


@pytest.mark.parametrize("same", [True, False])
def test_the_published_method_takes_its_settings_and_the_level_it_is_asked_to(
    here: Context, same: bool
) -> None:
    """With a solver that is quick, the rest as published."""
    theirs = InterpolationSettings.preset(
        "published",
        level=0.3,
        steps=10,
        negative="abcde",
        alpha=0.05,
        score=ScoreKind.PUBLISHED,
        solver=SolverName.PRECONDITIONED,
        window_nodes=1,
    )
    method = PublishedMethod(same_level=same, settings=theirs)
    assert method.name == "published" + (" at the same level" if same else "")
    found = rendered(method, here)
    own = here.against("abcde") if same else here.against("abcde").at(theirs.inversion)
    direct = Geodesic(theirs.metric, theirs.solve).join(own.run, own.noised, [(0, 1)])
    t = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    latents = direct.paths.pair(0).latent(t)
    assert_close(found.render(t), own.render(latents, t), rtol=1e-5, atol=1e-5)
    assert found.own_inversion is not same
    assert (found.latent_path is not None) == same
    other = here if same else here.at(theirs.inversion)
    straight = GreatArc(other.ends[0], other.ends[1])(t)
    assert float((latents - straight)[1].norm()) > 1e-3, "the geodesic is not the great circle"


def test_what_paths_are_measured_in_by_default_is_the_metric_of_a_geodesic() -> None:
    assert Geodesic().metric == ComparisonSettings().metric


# Frames of others


def test_frames_of_another_program_are_re_timed(here: Context, tmp_path: Path) -> None:
    a, b = here.images
    write_strip(tmp_path / "theirs", fade(a, b))
    method = OtherProgram("theirs", tmp_path / "theirs")
    film = method.path(here, "pair").frames(Run(), PooledPixels(), 3)
    assert method.name == "theirs"
    assert_close(film.frames[[0, -1]], eight_bits(here.images))
    assert film.cost.nfe == 0
    (tmp_path / "many").mkdir()
    (tmp_path / "theirs").rename(tmp_path / "many" / "p")
    with pytest.raises(ValueError, match="no frames of the pair other"):
        OtherProgram("theirs", tmp_path / "many").path(here, "other")
