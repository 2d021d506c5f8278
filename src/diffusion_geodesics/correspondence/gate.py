r"""Removal of displacements that explain nothing.

What appears, or is lit from elsewhere, has no counterpart in the other image, and the energy of the
field finds one all the same. So a displacement is kept only where, in the neighbourhood of
:math:`p`, it removes a share of the difference of the pixels (with the light included), or brings
the features closer. With the mean :math:`\langle \cdot \rangle` over a soft box, and residuals with
the field and without (:math:`r^0`),

.. math::
    v \leftarrow v\; \mathrm{sigmoid}\Big( k \Big[ \max\Big(
        \frac{\langle r_p^0 - r_p \rangle}{E\, (\langle r_p^0 \rangle + \delta)},
        \frac{\langle r_f^0 - r_f \rangle}{A} \Big) - 1 \Big] \Big).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.correspondence.residuals import (
    Features,
    Field,
    Pixels,
    Residual,
    box_mean,
    residuals,
)


@final
@dataclass(frozen=True)
class Gate:
    r"""Settings of the removal, chosen on rendered portraits.

    Args:
        min_explained: :math:`E`, share of the pixel residual that a displacement must remove.
        min_feature_gain: :math:`A`, cosine of features that it may gain instead.
        sharpness: :math:`k`, of the transition from removed to kept.
        negligible: :math:`\delta`, a pixel residual, in [0, 1], that needs no explanation.
        box: edge of the box of the local means, applied twice, in shorter edges of the image.
        pixel_corner: :math:`\rho` of a difference of pixels in [0, 1].
    """

    min_explained: float = 0.25
    min_feature_gain: float = 0.08
    sharpness: float = 8.0
    negligible: float = 0.004
    box: float = 0.08
    pixel_corner: float = 0.02

    def apply(self, field: Field, features: Features, pixels: Pixels) -> Field:
        """The field, scaled towards 0 where it explains too little."""

        def local(values: Residual) -> Tensor:
            return box_mean(box_mean(values[:, None], self.box), self.box)

        still = residuals(torch.zeros_like(field), features, pixels, self.pixel_corner)
        moved = residuals(field, features, pixels, self.pixel_corner)
        still_features, still_pixels = map(local, still)
        moved_features, moved_pixels = map(local, moved)
        explained = (still_pixels - moved_pixels) / (still_pixels + self.negligible)
        gained = still_features - moved_features
        enough = torch.maximum(explained / self.min_explained, gained / self.min_feature_gain)
        return field * torch.sigmoid(self.sharpness * (enough - 1))
