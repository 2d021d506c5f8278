"""The benchmark of digits: measures against exact cases, and the real model where it is."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import diffusion_geodesics as dg
from benchmarks.evidence.digit_data import Shown, deal, digits_model
from benchmarks.evidence.digit_measures import (
    DigitFrames,
    Reality,
    classifier,
    fitted,
)
from benchmarks.evidence.digits import reading, study
from benchmarks.record import as_data, write_json
from diffusion_geodesics.comparison.result import ComparisonResult, Outcome, PairResult
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.diffusion import (
    Condition,
    FlowPrediction,
    FlowSchedule,
    LevelScore,
    invert,
    sample,
)
from diffusion_geodesics.images import psnr
from diffusion_geodesics.measures import Features, Interval, PooledPixels, Strip
from diffusion_geodesics.models import FunctionModel, ModelError, from_denoiser
from diffusion_geodesics.runtime.run import Run

Stored = dict[str, np.ndarray]


def bar(width: int, value: float = 1.0) -> Tensor:
    """A vertical bar of 20 pixels, (1, 3, 28, 28)."""
    image = torch.zeros(1, 3, 28, 28)
    image[:, :, 4:24, 4 : 4 + width] = value
    return image


def bars() -> Reality:
    """Bars of widths 1 to 10 are the ten digits; held out are the same, half a grey level off."""
    bank = torch.cat([bar(k + 1) for k in range(10)])
    held_out = (bank + 0.5 / 255 * (bank > 0)).clamp(0, 2)
    return Reality.of(bank, torch.arange(10), held_out, torch.arange(10))


def test_a_real_image_is_at_the_level_and_a_blend_is_not() -> None:
    real = bars()
    step = 0.5 / 255
    for k in range(10):
        assert float(real.level[k]) == pytest.approx(step * math.sqrt(20 * (k + 1)), rel=1e-4)
    ends = torch.cat([bar(2), bar(8)])
    measure = DigitFrames(real, (4, 4))
    middle = (bar(5) + step * (bar(5) > 0)).expand(3, -1, -1, -1)
    frames = torch.cat([ends[:1], middle, ends[1:]])
    found = measure(Strip(frames, ends, PooledPixels()(frames)))
    assert found["nearest real"] == pytest.approx(1, rel=1e-4)
    assert found["off level"] == pytest.approx(0, abs=1e-4)
    assert set(found) == {q.name for q in measure.quantities}
    blend = (0.5 * ends.sum(0, keepdim=True)).expand(3, -1, -1, -1)
    frames = torch.cat([ends[:1], blend, ends[1:]])
    worse = measure(Strip(frames, ends, PooledPixels()(frames)))
    assert worse["nearest real"] > 10


def test_confidence_is_the_largest_probability() -> None:
    real, ends = bars(), torch.cat([bar(2), bar(8)])
    network = classifier().requires_grad_(False)
    head = network[-1]
    assert isinstance(head, nn.Linear)
    head.weight.zero_()
    head.bias.copy_(torch.tensor([math.log(99.0 * 9), *[0.0] * 9]))
    known = Reality(real.bank, real.level, network, 1.0)
    frames = torch.cat([ends[:1], bar(5), ends[1:]])
    found = DigitFrames(known, (0, 1))(Strip(frames, ends, PooledPixels()(frames)))
    assert found["confidence"] == pytest.approx(0.99, abs=1e-5)
    assert found["legible"] == 1


def test_the_classifier_learns_and_does_so_again() -> None:
    images = torch.cat([bar(2)[:, :1], bar(9)[:, :1]]).repeat(200, 1, 1, 1)
    labels = torch.arange(2).repeat(200)
    first, again = (fitted(images, labels, epochs=4) for _ in range(2))
    assert (first(images).argmax(1) == labels).all()
    assert torch.equal(first(images), again(images))


def test_what_is_not_finite_is_none() -> None:
    found = as_data(Interval(1.234567, math.nan, math.inf, 1))
    assert found == {"mean": 1.2346, "low": None, "high": None, "count": 1}
    assert as_data(Interval(math.nan, math.nan, math.nan, 0)) == {}


def test_a_study_says_who_is_better(tmp_path: Path) -> None:
    """Methods whose frames are real images, and one of blends."""
    real = bars()
    rows = {"real": bar(5), "slerp": 0.5 * (bar(2) + bar(8))}
    ends = torch.cat([bar(2), bar(8)])
    measure, pairs = DigitFrames(real, (4, 4)), []
    for n in range(4):
        outcomes = {}
        for name, image in rows.items():
            frames = torch.cat([ends[:1], image, image, ends[1:]])
            scores = measure(Strip(frames, ends, PooledPixels()(frames)))
            outcomes[name] = Outcome(frames, scores)
        pairs.append(PairResult(f"{n:03d}-4-4", ends, outcomes))
    settings = ComparisonSettings.of(level=0.6)
    done = ComparisonResult(
        list(rows), measure.quantities, pairs, "slerp", "pixels", truth="real", settings=settings
    )
    found = study("all", ", bars", done)
    assert [row["method"] for row in found["rows"]] == ["real", "slerp"]
    said = reading(found)["real"]
    assert "nearest real" in said["better than slerp"]
    assert "nearest real" not in said["worse than slerp"]
    write_json(tmp_path / "result.json", {"studies": [found]})
    assert json.loads((tmp_path / "result.json").read_text())["studies"][0]["pairs"] == 4


class Still(Features):
    """No features."""

    @property
    def name(self) -> str:
        return "none"

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_real_images_are_shown_as_they_are() -> None:
    frames = torch.cat([bar(k) for k in (1, 7, 2)])
    assert torch.equal(Shown(frames).frames(Run(), Still(), 3).frames, frames)


def class_mean(prompt: str) -> Tensor:
    if prompt not in ("", "left", "right"):
        raise ValueError("expected left or right")
    return torch.full((2,), {"": 0.0, "left": -1.0, "right": 1.0}[prompt])


def by_class() -> FunctionModel:
    """Normal images around a mean that the prompt tells: the velocity is known."""

    def velocity(x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
        mean = embedding[:, :1, None, None].to(x)
        gain = (1 - sigma) / ((1 - sigma) ** 2 + sigma**2)
        clean = mean + gain * (x - (1 - sigma) * mean)
        return (x - clean) / sigma

    return from_denoiser(
        velocity,
        (3, 4, 4),
        schedule=FlowSchedule(train_steps=1),
        prediction=FlowPrediction(),
        embed=class_mean,
    )


def test_a_function_may_take_prompts() -> None:
    model = by_class()
    denoiser, x = model.denoiser(4, 4), torch.randn(5, 48, dtype=torch.float64)
    t, sigma = torch.linspace(0, 1, 5), 0.6
    left, right = model.encode_prompt("left"), model.encode_prompt("right")
    for condition, mean in ((left, -1.0), (right, 1.0), (model.encode_prompt(""), 0.0)):
        score = LevelScore(denoiser, sigma, condition)(t, x)
        variance = (1 - sigma) ** 2 + sigma**2
        torch.testing.assert_close(score, -(x - (1 - sigma) * mean) / variance)
    rows = left.lerp(right, t)
    mixed = denoiser.epsilon(x, sigma, rows)
    alone = torch.cat(
        [denoiser.epsilon(x[[k]], sigma, rows.take(slice(k, k + 1))) for k in range(5)]
    )
    torch.testing.assert_close(mixed, alone)
    with pytest.raises(ModelError, match="does not take the prompt 'up': expected left or right"):
        model.encode_prompt("up")
    assert Condition.stack([left, right]).rows == 2


@pytest.fixture(scope="module")
def model(shared_data: Path) -> FunctionModel:
    found = digits_model(shared_data / "weights")
    assert isinstance(found, FunctionModel)
    return found


@pytest.fixture(scope="module")
def stored(shared_data: Path) -> Stored:
    return dict(np.load(shared_data / "datasets" / "mnist_t10k_0-7999.npz"))


def real(stored: Stored, count: int) -> tuple[Tensor, list[int]]:
    images = torch.from_numpy(stored["images"][:count]).float()[:, None] / 255
    return images.expand(-1, 3, -1, -1).contiguous(), stored["labels"][:count].tolist()


def test_digits_come_back_from_the_autoencoder(model: FunctionModel, stored: Stored) -> None:
    images, _ = real(stored, 100)
    codec = model.codec(28, 28)
    shown = codec.decode(codec.encode(images))
    assert shown.shape == images.shape
    assert torch.equal(shown[:, 0], shown[:, 2])
    assert 18.5 < float(psnr(shown, images).mean()) < 20.5


def test_inversion_is_undone(model: FunctionModel, stored: Stored) -> None:
    images, labels = real(stored, 20)
    clean = model.codec(28, 28).encode(images).double()
    condition = Condition.stack([model.encode_prompt(str(k)) for k in labels])
    denoiser = model.denoiser(28, 28)
    x = invert(denoiser, clean, condition, steps=10, level=0.6, refinements=20, tolerance=1e-7)
    back = sample(denoiser, x, condition, steps=10, level=0.6)
    assert (back - clean).abs().max() < 1e-3
    noise = invert(denoiser, clean, condition, steps=25, level=1.0)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.15)


def test_guidance_to_a_class_gives_that_class(model: FunctionModel) -> None:
    """Told by which class explains the noised latent best: the flow itself classifies."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20, 36, generator=generator, dtype=torch.float64)
    digits = [str(k % 10) for k in range(20)]
    conditions = [model.encode_prompt(str(k)) for k in range(10)]
    wanted = Condition.stack([model.encode_prompt(k) for k in digits])
    denoiser, null = model.denoiser(28, 28), model.encode_prompt("")
    scores = [LevelScore(denoiser, 0.6, c)(torch.zeros(20), noise) for c in (null, wanted)]
    assert (scores[1] - scores[0]).norm() > 0.1 * scores[0].norm()
    clean = sample(denoiser, noise, wanted, steps=25, level=1.0, negative=null, guidance=2.0)
    errors = []
    for condition in conditions:
        error = torch.zeros(20, dtype=torch.float64)
        for sigma in (0.5, 0.7):
            eps = torch.randn(36, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            x = (1 - sigma) * clean + sigma * eps
            error += (denoiser.epsilon(x, sigma, condition) - eps).square().sum(1)
        errors.append(error)
    said = torch.stack(errors).argmin(0)
    assert (said == torch.tensor([int(k) for k in digits])).double().mean() >= 0.9


def test_it_interpolates_like_any_model(model: FunctionModel, stored: Stored) -> None:
    images, labels = real(stored, 10)
    a, b = labels.index(7), labels.index(2)
    done = dg.interpolate(model, [images[a], images[b]], prompt=("7", "2"), frames=5)
    assert done.frames.shape == (5, 3, 28, 28)
    shown = model.codec(28, 28)
    ends = shown.decode(shown.encode(images[[a, b]]))
    assert float(psnr(done.frames[[0, -1]], ends).min()) > 25
    with pytest.raises(ModelError, match="one digit"):
        dg.interpolate(model, [images[a], images[b]], prompt="seven")


def test_digits_are_dealt_once(
    model: FunctionModel, stored: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "benchmarks.evidence.digit_measures.fitted", lambda images, labels: classifier()
    )
    np.savez(tmp_path / "few.npz", images=stored["images"][:900], labels=stored["labels"][:900])
    digits = deal(tmp_path / "few.npz", 12, model.codec(28, 28), bank=300)
    classes = [name.name.split("-")[1:] for name in digits.pairs]
    assert [a == b for a, b in classes] == [True, False] * 6
    assert all(p.prompt_a == c[0] for p, c in zip(digits.pairs, classes, strict=True))
    assert [len(s) for s in digits.strips.values()] == [7] * 12
    shown = torch.cat(list(digits.strips.values()))
    near = digits.real.nearest(shown)
    assert near.min() > 0  # none of them is in the bank
    assert float(near.mean() / digits.real.level.mean()) == pytest.approx(1, abs=0.25)
