r"""Cross-fades of images in which light is averaged where light is all that differs.

A surface that is lit from two places is as bright as the sum of both lights, in linear light.
sRGB values :math:`A, B` are powers of it, and their mean is darker. So a cross-fade is

.. math::
    (1 - h)\,\big[(1-w) A + w B\big] + h\, \ell^{-1}\big[(1-w)\, \ell(A) + w\, \ell(B)\big], \qquad
    h = e^{-(\theta / \theta_0)^2 - (\rho / \rho_0)^2},

with the linear light :math:`\ell` of a value, the angle :math:`\theta` between both colours in
linear light, and by how much :math:`\rho` the logarithm of the ratio of both lights differs from
its local mean. Pixels of one chromaticity whose light changes by the same factor as that around
them are taken for one surface, others for two that take each other's place: shadows are smooth, a
displaced eyebrow is not.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence.residuals import box_mean
from diffusion_geodesics.srgb import from_linear, to_linear

SAME = 0.1
r""":math:`\theta_0`, in radians."""
SMOOTH = 0.3
r""":math:`\rho_0`, of natural logarithms."""
BOX = 0.06
"""Edge of the box of the local mean, applied twice, in shorter edges of the image."""
DARK = 1e-2
"""Linear light that is added before angles and ratios are taken, so that black has neither."""
RGB = 3

Images = Float[Tensor, "frames channels height width"]


def chromatic_angle(
    first: Images, last: Images, dark: float = DARK
) -> Float[Tensor, "frames 1 height width"]:
    """Angles between the colours of two images of linear light, in radians."""
    return torch.arccos(torch.cosine_similarity(first + dark, last + dark, 1).clamp(-1, 1))[:, None]


def uneven_ratio(first: Images, last: Images) -> Float[Tensor, "frames 1 height width"]:
    r""":math:`\rho`: by how much the logarithm of the ratio of two images of linear light, all
    colours together, differs from its local mean."""
    ratio = torch.log((first.mean(1, keepdim=True) + DARK) / (last.mean(1, keepdim=True) + DARK))
    return (ratio - box_mean(box_mean(ratio, BOX), BOX)).abs()


def cross_fade(
    first: Images, last: Images, share: Float[Tensor, "frames #one #height #width"]
) -> Images:
    """The cross-fade of the module's equation, ``share`` being :math:`w` of each pixel. Values are
    cut off at 0 and 1. Images of other than three channels have no chromaticity, and fade as they
    are."""
    first, last = first.clamp(0, 1), last.clamp(0, 1)
    share = share.to(first)
    plain = torch.lerp(first, last, share)
    if first.shape[1] != RGB:
        return plain
    lights = to_linear(first), to_linear(last)
    other = (chromatic_angle(*lights) / SAME) ** 2 + (uneven_ratio(*lights) / SMOOTH) ** 2
    same = torch.exp(-other)
    return torch.lerp(plain, from_linear(torch.lerp(*lights, share)), same)
