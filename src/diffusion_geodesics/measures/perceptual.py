r"""Perceptual path length (PPL) and its variance (PDV), of any perceptual distance d.

.. math:: \mathrm{PPL} = \sum_i d(x_i, x_{i+1}), \qquad
          \mathrm{PDV} = \mathrm{Var}_i\, d(x_i, x_{i+1}).

Other papers scale differently: DiffMorpher's figures fit N² times the mean, IMPUS divides by a
squared step, and some print the standard deviation for PDV. This is the plain sum and the
(population) variance. Low values can be mere cross-fading, so they never stand alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.measures.measure import Better, Images, Measure, Quantity, Strip


class PerceptualDistance(ABC):
    """A distance of images."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the distance, with its network."""

    @abstractmethod
    def __call__(self, a: Images, b: Images) -> Float[Tensor, " images"]:
        """Distances of images with values in [0, 1], pair by pair."""


@final
@dataclass(frozen=True)
class PerceptualPath(Measure):
    """PPL, PDV, and the distance of both end frames to the images."""

    distance: PerceptualDistance
    prefix: str = ""  # of the quantities' names, for a distance that is not LPIPS

    @property
    def _names(self) -> tuple[str, str, str]:
        return f"{self.prefix}PPL", f"{self.prefix}PDV", f"end {self.prefix}LPIPS"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        name, (ppl, pdv, end) = self.distance.name, self._names
        return (
            Quantity(
                ppl,
                Better.LOWER,
                f"sum of {name} between neighbouring frames",
                "cross-fades are the shortest paths of all",
            ),
            Quantity(pdv, Better.LOWER, f"variance of {name} between neighbouring frames"),
            Quantity(end, Better.LOWER, f"{name} of both end frames to the images; mean"),
        )

    def __call__(self, strip: Strip) -> Mapping[str, float]:
        steps = self.distance(strip.frames[:-1], strip.frames[1:]).double()
        ends = self.distance(strip.frames[[0, -1]], strip.ends).double()
        values = float(steps.sum()), float(steps.var(unbiased=False)), float(ends.mean())
        return dict(zip(self._names, values, strict=True))
