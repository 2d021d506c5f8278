r"""Removal of displacements that explain nothing, or spoil as much as they explain.

What appears, or is lit from elsewhere, has no counterpart in the other image, and the energy of the
field finds one all the same. So a displacement is kept only where, in the neighbourhood of
:math:`p`, it removes a share of the difference of the pixels (with the light included) without
adding elsewhere what it removes there, or brings the features closer. With the mean
:math:`\langle \cdot \rangle` over a soft box, :math:`\langle \cdot \rangle_w` over a wider one,
residuals with the field and without (:math:`r^0`), and :math:`u_\pm` for the positive and negative
part of :math:`u`,

.. math::
    v &\leftarrow v\; \mathrm{sigmoid}\Big( k \Big[ \max\Big( \min(s, q),
        \frac{\langle r_f^0 - r_f \rangle}{A} \Big) - 1 \Big] \Big), \\
    s &= \frac{\langle r_p^0 - r_p \rangle}{E\, (\langle r_p^0 \rangle + \delta)}, \qquad
    q = \frac{1}{Q}\,
        \frac{\langle (r_p^0 - r_p)_+ \rangle_w + \eta}{\langle (r_p^0 - r_p)_- \rangle_w + \eta}.
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
    feature_residual,
    pixel_residual,
)


@final
@dataclass(frozen=True)
class Gate:
    r"""Settings of the removal, chosen on rendered portraits.

    Args:
        min_explained: :math:`E`, share of the pixel residual that a displacement must remove.
        min_gain: :math:`Q`, pixel residual that it must remove for each unit that it adds.
        min_feature_gain: :math:`A`, cosine of features that it may gain instead.
        sharpness: :math:`k`, of the transition from removed to kept.
        negligible: :math:`\delta`, a pixel residual, in [0, 1], that needs no explanation.
        negligible_change: :math:`\eta`, a change of it that counts as none.
        box: edge of the box of the local means, applied twice, in shorter edges of the image.
        wide_box: the same of the means of what is removed and added.
        pixel_corner: :math:`\rho` of a difference of pixels in [0, 1].
    """

    min_explained: float = 0.15
    min_gain: float = 5.0
    min_feature_gain: float = 0.05
    sharpness: float = 8.0
    negligible: float = 0.004
    negligible_change: float = 1e-5
    box: float = 0.08
    wide_box: float = 0.16
    pixel_corner: float = 0.02

    def apply(self, field: Field, features: Features, pixels: Pixels) -> Field:
        """The field, scaled towards 0 where it explains too little or spoils too much."""

        def local(values: Residual, box: float = self.box) -> Tensor:
            return box_mean(box_mean(values[:, None], box), box)

        rest = torch.zeros_like(field)
        still = pixel_residual(rest, pixels, self.pixel_corner)
        change = still - pixel_residual(field, pixels, self.pixel_corner)
        explained = local(change) / (local(still) + self.negligible)
        removed, added = (local(part.clamp_min(0), self.wide_box) for part in (change, -change))
        gain = (removed + self.negligible_change) / (added + self.negligible_change)
        enough = torch.minimum(explained / self.min_explained, gain / self.min_gain)
        closer = local(feature_residual(rest, features) - feature_residual(field, features))
        enough = torch.maximum(enough, closer / self.min_feature_gain)
        return field * torch.sigmoid(self.sharpness * (enough - 1))
