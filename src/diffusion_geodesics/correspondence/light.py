r"""Cross-fades of images in which light is averaged where light is all that differs.

A surface that is lit from two places is as bright as the sum of both lights, in linear light.
sRGB values :math:`A, B` are powers of it, and their mean is darker. So a cross-fade is

.. math::
    (1 - h)\,\big[(1-w) A + w B\big] + h\, \ell^{-1}\big[(1-w)\, \ell(A) + w\, \ell(B)\big], \qquad
    h = e^{-(\theta / \theta_0)^2},

with the linear light :math:`\ell` of a value and the angle :math:`\theta` between both colours
in linear light: pixels of one chromaticity are taken for one surface, others for two that take each
other's place.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SAME = 0.1
r""":math:`\theta_0`, in radians."""
DARK = 1e-2
"""Linear light that is added before angles are taken, so that black has no chromaticity."""
RGB = 3

Images = Float[Tensor, "frames channels height width"]


def to_linear(values: Tensor) -> Tensor:
    """Linear light of sRGB values, both in [0, 1] (IEC 61966-2-1)."""
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def from_linear(light: Tensor) -> Tensor:
    """The inverse of :func:`to_linear`."""
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def chromatic_angle(
    first: Images, last: Images, dark: float = DARK
) -> Float[Tensor, "frames 1 height width"]:
    """Angles between the colours of two images of linear light, in radians."""
    return torch.arccos(torch.cosine_similarity(first + dark, last + dark, 1).clamp(-1, 1))[:, None]


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
    same = torch.exp(-((chromatic_angle(*lights) / SAME) ** 2))
    return torch.lerp(plain, from_linear(torch.lerp(*lights, share)), same)
