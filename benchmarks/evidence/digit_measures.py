r"""What frames between two handwritten digits are measured against: real digits nobody drew here.

Real images are split in three: the ends of the pairs, a *bank*, and those *held out*. All go
through the model's autoencoder, whose softness is no method's fault. A small classifier is fitted
to the bank. What is measured on a strip, over the frames between:

- **nearest real**: distance to the nearest image of the bank over the same distance for held-out
  real images of these classes. 1 is as near as a real image is; less is too typical, not better.
- **confidence**: largest probability that the classifier gives a digit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from diffusion_geodesics.measures import Better, Measure, Quantity, Strip

QUANTITIES = (
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
)


def classifier() -> nn.Sequential:
    """Grey images (n, 1, 28, 28) to logits of the ten digits; small, and good enough."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 49, 48),
        nn.ReLU(),
        nn.Linear(48, 10),
    )


def fitted(images: Tensor, labels: Tensor, *, epochs: int = 8, seed: int = 0) -> nn.Sequential:
    """A classifier of grey images (n, 1, 28, 28), shifted by up to two pixels while fitting."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = classifier()
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


@final
@dataclass(frozen=True, eq=False)
class Reality:
    """What is known of real digits.

    Args:
        bank: real images through the autoencoder, flat, (items, 784).
        level: distance of a held-out real image to the nearest of the bank, by class, (10,).
        classifier: of digits.
        accuracy: of the classifier, on the held-out images.
    """

    bank: Tensor
    level: Tensor
    classifier: nn.Module
    accuracy: float

    @staticmethod
    def of(bank: Tensor, labels: Tensor, held_out: Tensor, held_labels: Tensor) -> Reality:
        """From images (n, 3, 28, 28) and their digits."""
        flat = grey(bank).flatten(1)
        nearest = torch.cdist(grey(held_out).flatten(1), flat).min(1).values
        level = torch.stack([nearest[held_labels == k].mean() for k in range(10)])
        network = fitted(grey(bank), labels)
        right = network(grey(held_out)).argmax(1) == held_labels
        return Reality(flat, level, network, float(right.double().mean()))

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
        return QUANTITIES

    def __call__(self, strip: Strip) -> Mapping[str, float]:
        inner = strip.frames[1:-1]
        near = float((self.real.nearest(inner) / self.real.level[list(self.classes)].mean()).mean())
        sure = self.real.classifier(grey(inner)).softmax(1).amax(1)
        return {
            "nearest real": near,
            "off level": abs(math.log(max(near, 1e-6))),
            "confidence": float(sure.mean()),
            "legible": float((sure > 0.9).float().mean()),
        }
