"""The correspondences of one pair of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class Matches:
    r"""Correspondences of two images, as a displacement field on the half-way domain.

    Args:
        displacement: :math:`v` in half edges, components :math:`(x, y)`: point :math:`p` of the
            half-way domain is seen at :math:`p - v(p)` in the first image and at :math:`p + v(p)`
            in the second.
    """

    displacement: Float[Tensor, "height width 2"]

    @property
    def moved(self) -> float:
        """Mean distance between corresponding points of the two images, in edges."""
        return float(self.displacement.norm(dim=-1).mean())
