r"""What frames between two handwritten digits are measured against: real digits nobody drew here.

Real images are split in three: the ends of the pairs, a *bank*, and those *held out*. All go
through the model's autoencoder, whose softness is no method's fault. A small classifier is fitted
to the bank. What is measured on a strip, over the frames between:

- **nearest real**: distance to the nearest image of the bank over the same distance for held-out
  real images of these classes. 1 is as near as a real image is; less is too typical, not better.
- **confidence**: largest probability that the classifier gives a digit.
- **strokes**: how far ink, stroke width and greyness leave the range of both ends, in standard
  deviations of real images; and how they change in the middle.

Of whole sets of frames: the Fréchet distance to real images in the classifier's features, over
their variance, with an interval from the jackknife that leaves out a group of pairs (a bootstrap
would repeat frames, and so narrow the covariance),
:math:`\hat\theta \pm 1.96\,\sqrt{\frac{g - 1}{g} \sum_k (\theta_k - \bar\theta)^2}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d

from diffusion_geodesics.measures import (
    Better,
    Interval,
    Measure,
    Quantity,
    Strip,
    frechet_distance,
)

GROUPS = 20
"""Groups of pairs that the jackknife leaves out in turn."""
STROKES = ("ink", "width", "grey")
CHANGE = "of the frames between, less the mean of both ends, in standard deviations of real images"


@final
class Classifier(nn.Module):
    """Grey images (n, 1, 28, 28) to logits of the ten digits; small, and good enough."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 49, 48),
            nn.ReLU(),
        )
        self.head = nn.Linear(48, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def fitted(images: Tensor, labels: Tensor, *, epochs: int = 8, seed: int = 0) -> Classifier:
    """A classifier of grey images (n, 1, 28, 28), shifted by up to two pixels while fitting."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier()
        optimiser = torch.optim.Adam(network.parameters(), 2e-3)
        steps = epochs * math.ceil(len(images) / 64)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for _ in range(epochs):
            for index in torch.randperm(len(images)).split(64):
                shift = torch.randint(-2, 3, (2,)).tolist()
                seen = images[index].roll(shift, (2, 3))
                loss = cross_entropy(network(seen), labels[index])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    return network.requires_grad_(False).eval()


def grey(images: Tensor) -> Tensor:
    """One channel of images (n, 3, 28, 28)."""
    return images[:, :1].float()


def strokes(images: Tensor) -> Tensor:
    """Ink (mean brightness), stroke width in pixels (twice the area over the outline at half
    brightness), and the share of what is not black that is neither black nor white; (n, 3)."""
    x = grey(images)[:, 0]
    inside = (x > 0.5).float()
    eroded = -max_pool2d(-inside[:, None], 3, 1, 1)[:, 0]
    outline = (inside - eroded).sum((1, 2)).clamp_min(1)
    visible = (x > 0.15).float()
    middle = visible * (x < 0.75).float()
    share = middle.sum((1, 2)) / visible.sum((1, 2)).clamp_min(1)
    return torch.stack([x.mean((1, 2)), 2 * inside.sum((1, 2)) / outline, share], 1)


@final
@dataclass(frozen=True, eq=False)
class Reality:
    """What is known of real digits.

    Args:
        bank: real images through the autoencoder, flat, (items, 784).
        level: distance of a held-out real image to the nearest of the bank, by class, (10,).
        spread: standard deviations of the stroke statistics of real images, (3,).
        classifier: of digits.
        accuracy: of the classifier, on the held-out images.
    """

    bank: Tensor
    level: Tensor
    spread: Tensor
    classifier: Classifier
    accuracy: float

    @staticmethod
    def of(bank: Tensor, labels: Tensor, held_out: Tensor, held_labels: Tensor) -> Reality:
        """From images (n, 3, 28, 28) of the bank, and some held out of it, with their digits."""
        flat = grey(bank).flatten(1)
        nearest = torch.cdist(grey(held_out).flatten(1), flat).min(1).values
        level = torch.stack([nearest[held_labels == k].mean() for k in range(10)])
        classifier = fitted(grey(bank), labels)
        right = classifier(grey(held_out)).argmax(1) == held_labels
        accuracy = float(right.double().mean())
        spread = strokes(bank).std(0).clamp_min(1e-6)
        return Reality(flat, level, spread, classifier, accuracy)

    def nearest(self, images: Tensor) -> Tensor:
        """Distance to the nearest image of the bank."""
        return torch.cdist(grey(images).flatten(1), self.bank).min(1).values


@final
@dataclass(frozen=True, eq=False)
class DigitFrames(Measure):
    """Measures of one strip; see the module.

    Args:
        real: what real digits are like.
        classes: of both ends.
    """

    real: Reality
    classes: tuple[int, int]

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (
            Quantity(
                "nearest real",
                Better.LOWER,
                "distance to the nearest real image over that of held-out real images",
                "averages are near to everything: below 1 is too typical",
            ),
            Quantity("off level", Better.LOWER, "|log| of nearest real: 0 is as near as real is"),
            Quantity(
                "confidence",
                Better.HIGHER,
                "largest probability of a digit, by a small classifier fitted to real images",
            ),
            Quantity("legible", Better.HIGHER, "share of frames with a confidence above 0.9"),
            Quantity(
                "strokes",
                Better.LOWER,
                "how far ink, width and greyness leave the range of both ends, in standard "
                "deviations of real images",
                "a jump from one end to the other leaves no range",
            ),
            *(Quantity(f"{name} change", Better.NEITHER, f"{name} {CHANGE}") for name in STROKES),
        )

    def __call__(self, strip: Strip) -> Mapping[str, float]:
        inner = strip.frames[1:-1]
        level = self.real.level[list(self.classes)].mean()
        near = float((self.real.nearest(inner) / level).mean())
        sure = self.real.classifier(grey(inner)).softmax(1).amax(1)
        told = strokes(strip.frames) / self.real.spread
        ends, between = told[[0, -1]], told[1:-1]
        outside = torch.maximum(between - ends.amax(0), ends.amin(0) - between).clamp_min(0)
        change = (between - ends.mean(0)).mean(0).tolist()
        return {
            "nearest real": near,
            "off level": abs(math.log(max(near, 1e-6))),
            "confidence": float(sure.mean()),
            "legible": float((sure > 0.9).float().mean()),
            "strokes": float(outside.mean()),
            **{f"{n} change": v for n, v in zip(STROKES, change, strict=True)},
        }


def jackknife(statistic: Callable[[np.ndarray], np.ndarray], pairs: int) -> list[Interval]:
    """Each entry of ``statistic(chosen pairs)`` on all pairs, with its 95% interval."""
    everything, groups = np.arange(pairs), min(GROUPS, pairs)
    value = statistic(everything)
    left = np.stack([statistic(everything[everything % groups != k]) for k in range(groups)])
    error = np.sqrt((groups - 1) / groups * np.square(left - left.mean(0)).sum(0))
    return [
        Interval(float(v), float(v - 1.96 * e), float(v + 1.96 * e), pairs)
        for v, e in zip(value, error, strict=True)
    ]


def frechet_to(real: np.ndarray, strips: Sequence[np.ndarray]) -> Callable[[np.ndarray], float]:
    """Fréchet distance of the chosen pairs' features (frames, coordinates) to real ones."""
    mean, covariance = real.mean(0), np.cov(real.T)

    def distance(chosen: np.ndarray) -> float:
        some = np.concatenate([strips[i] for i in chosen])
        return frechet_distance(some.mean(0), np.cov(some.T), mean, covariance)

    return distance
