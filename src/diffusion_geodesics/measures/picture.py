r"""Measures on pixels alone: fidelity at the ends, sharpness, ghosting.

**SSIM** with means, variances and covariance in a Gaussian window of σ = 1.5:

.. math:: \frac{(2 \mu_a \mu_b + c_1)(2 \sigma_{ab} + c_2)}
               {(\mu_a^2 + \mu_b^2 + c_1)(\sigma_a^2 + \sigma_b^2 + c_2)},
          \qquad c_1 = 0.01^2,\ c_2 = 0.03^2.

**Sharpness** of an image is the mean absolute difference of neighbouring pixels. **Ghosting** of a
frame f between ends A and B is the share of its squared distance to the nearer end that the best
cross-fade :math:`w A + (1 - w) B`, :math:`0 \le w \le 1`, explains:

.. math:: 1 - \frac{\min_w |f - w A - (1 - w) B|^2}{\min(|f - A|^2, |f - B|^2)}.

It is 1 for every true cross-fade and 0 for a repeated end.

References:
    Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP
    2004 (SSIM).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

from diffusion_geodesics.images import psnr
from diffusion_geodesics.measures.measure import Better, Images, Measure, Quantity, Strip

WINDOW, SPREAD = 11, 1.5
"""Edge of the window of SSIM in pixels, and its standard deviation."""


def ssim(
    a: Float[Tensor, "images 3 height width"], b: Float[Tensor, "others 3 rows columns"]
) -> Float[Tensor, " images"]:
    """Structural similarity in [-1, 1], mean over channels and all whole windows.

    Raises:
        ValueError: different shapes, or an edge under 11 pixels.
    """
    if a.shape != b.shape:
        raise ValueError(f"got images of shapes {tuple(a.shape)} and {tuple(b.shape)}")
    if min(a.shape[-2:]) < WINDOW:
        raise ValueError(f"got images of {tuple(a.shape[-2:])} pixels; SSIM needs at least 11")
    x, y = (v.double().flatten(0, 1)[:, None] for v in (a, b.to(a.device)))
    offset = torch.arange(WINDOW, dtype=torch.float64, device=a.device) - WINDOW // 2
    line = torch.exp(-0.5 * (offset / SPREAD) ** 2)
    line = line / line.sum()

    def mean(v: Tensor) -> Tensor:
        return conv2d(conv2d(v, line[None, None, :, None]), line[None, None, None, :])

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return value.mean((1, 2, 3)).reshape(len(a), 3).mean(1).to(a.dtype)


def sharpness(images: Images) -> Float[Tensor, " images"]:
    """Mean absolute difference of neighbouring pixels, both directions, image by image."""
    across = images.diff(dim=-1).abs().flatten(1).mean(1)
    return 0.5 * (across + images.diff(dim=-2).abs().flatten(1).mean(1))


def ghosting(
    frames: Float[Tensor, "frames 3 height width"], ends: Float[Tensor, "2 3 height width"]
) -> Float[Tensor, " frames"]:
    """Share of each frame that a cross-fade of both ends explains, in [0, 1]; see the module."""
    f, (first, last) = frames.double().flatten(1), ends.to(frames.device).double().flatten(1)
    gap = last - first
    weight = ((f - first) @ gap / gap.square().sum().clamp_min(1e-30)).clamp(0, 1)
    left = (f - first - weight[:, None] * gap).square().sum(1)
    nearer = torch.minimum((f - first).square().sum(1), (f - last).square().sum(1))
    tiny = 1e-12 * gap.square().sum()
    share = torch.where(nearer > tiny, 1 - left / nearer.clamp_min(1e-30), 0)
    return share.clamp(0, 1).to(frames.dtype)


@final
@dataclass(frozen=True)
class Pictures(Measure):
    """PSNR and SSIM of both end frames against the images, sharpness and ghosting between."""

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (
            Quantity(
                "end PSNR", Better.HIGHER, "dB of both end frames against the images; the mean"
            ),
            Quantity("end SSIM", Better.HIGHER, "the same by structural similarity"),
            Quantity(
                "sharpness",
                Better.HIGHER,
                "gradients of the frames between, relative to the mean of both end frames",
                "noise and doubled contours are sharp as well",
            ),
            Quantity(
                "ghosting",
                Better.LOWER,
                "share of the frames between that a cross-fade of their ends explains",
                "a jump from one end to the other has none",
            ),
        )

    def __call__(self, strip: Strip) -> Mapping[str, float]:
        shown, inner = strip.frames[[0, -1]], strip.frames[1:-1]
        error = psnr(shown, strip.ends).clamp_max(100.0)
        same = ssim(shown, strip.ends) if min(shown.shape[-2:]) >= WINDOW else None
        edges = float(sharpness(shown).mean())
        return {
            "end PSNR": float(error.mean()),
            "end SSIM": math.nan if same is None else float(same.mean()),
            "sharpness": float(sharpness(inner).mean()) / edges if edges > 0 else math.nan,
            "ghosting": float(ghosting(inner, shown).mean()),
        }
