r"""Structural similarity of images.

.. math:: \frac{(2\mu_a\mu_b + c_1)(2\sigma_{ab} + c_2)}
               {(\mu_a^2 + \mu_b^2 + c_1)(\sigma_a^2 + \sigma_b^2 + c_2)}

with local means, variances and covariance under a Gaussian window of standard deviation 1.5 over 11
pixels, c1 = 0.01², c2 = 0.03², averaged over the places where the window fits and over channels.

References
----------
Wang, Bovik, Sheikh, Simoncelli, Image quality assessment, IEEE Trans. Image Processing 2004.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

_WIDTH, _SPREAD = 11, 1.5


def ssim(
    a: Float[Tensor, "images 3 height width"], b: Float[Tensor, "images 3 height width"]
) -> Float[Tensor, " images"]:
    """SSIM of images with values in [0, 1]; 1 where they are identical.

    Raises:
        ValueError: shapes that differ, or images smaller than the window.
    """
    if a.shape != b.shape or min(a.shape[-2:]) < _WIDTH:
        raise ValueError(
            f"got images of shapes {tuple(a.shape)} and {tuple(b.shape)}; expected one shape, at "
            f"least {_WIDTH} pixels along each edge"
        )
    offset = torch.arange(_WIDTH, dtype=torch.float64) - _WIDTH // 2
    line = torch.exp(-0.5 * (offset / _SPREAD).square())
    line = line / line.sum()
    window = torch.outer(line, line).expand(3, 1, _WIDTH, _WIDTH)

    def local(x: Tensor) -> Tensor:
        return conv2d(x, window, groups=3)

    a, b = a.double(), b.double()
    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    cov = local(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return (top / bottom).flatten(1).mean(1)
