r"""Colours of video frames in sRGB.

High dynamic range is tone-mapped. The signal becomes light in cd/m² by the transfer function of
PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100, for a display of 1000 cd/m², gamma 1.2); its primaries
become those of sRGB, values below 0 cut; it is divided by the reference white of 203 cd/m²
(ITU-R BT.2408); and with :math:`m = \max(R, G, B)` the three are multiplied by :math:`f(m) / m`,
which keeps the hue. The Möbius curve

.. math::

    f(m) = m \text{ for } m \le j, \qquad
    f(m) = \frac{b^2 + 2 b j + j^2}{b - a} \, \frac{m + a}{m + b} \text{ above},

with :math:`j = 0.3`, a and b such that f is smooth at j and 1 at the peak of 1000 cd/m², leaves
the dark part as it is and rolls highlights off (the operator "mobius" of FFmpeg and mpv).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.clips.clip import ClipError
from diffusion_geodesics.srgb import from_linear

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# Code points of ITU-T H.273.
_BT709, _UNSPECIFIED, _BT601, _BT2020 = 1, 2, 5, 9
_LINEAR, _PQ, _HLG = 8, 16, 18
_MATRICES = (1, 4, 5, 6, 7, 9)  # matrices between RGB and luma that FFmpeg's scaler knows
_REFUSED_MATRICES = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "SMPTE ST 2085 (Y'D'zD'x)",
    12: "chromaticity-derived non-constant luminance",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
    15: "IPT-C2 (Dolby Vision profile 5)",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_REFUSED_TRANSFERS = {8: "linear", 9: "logarithmic", 10: "logarithmic", 17: "SMPTE ST 428 (DCI)"}
_HIGH_DEFINITION = 720  # height from which a file that does not name its matrix has that of BT.709

_PRIMARIES = {
    9: (
        "BT.2020",
        ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    ),
    12: (
        "Display P3",
        ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
    ),
}
"""Linear light of wide primaries (D65) in those of sRGB (ITU-R BT.2407; SMPTE EG 432-1)."""
_DISPLAY_GAMMA = 2.4  # exponent of a reference display (ITU-R BT.1886)

_REFERENCE_WHITE = 203.0
_PEAK = 1000.0
_HLG_GAMMA = 1.2
_KNEE = 0.3
_LEVELS = 1 << 16
_ROWS = 128  # lines that are converted at once, which bounds the memory


@final
@dataclass(frozen=True)
class Colours:
    """What a frame's values mean."""

    matrix: int  # between RGB and luma, as H.273 numbers it
    primaries: int  # of H.273; 1 where they count as those of sRGB
    transfer: int  # of H.273; 1 where values count as those of sRGB
    notes: tuple[str, ...] = ()  # what is done about it, in words

    @classmethod
    def of(cls, frame: VideoFrame, name: str) -> Colours:
        """Those of a frame. A file that does not name its matrix has that of its size."""
        primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
        refused = _REFUSED_MATRICES.get(int(frame.colorspace)) or _REFUSED_TRANSFERS.get(transfer)
        if refused:
            raise ClipError(
                f"{name} has colours in {refused}, which cannot be read; re-encode it as BT.709"
            )
        matrix = int(frame.colorspace)
        if matrix not in _MATRICES:
            usual = _BT709 if frame.height >= _HIGH_DEFINITION else _BT601
            matrix = _BT2020 if primaries == _BT2020 else usual
        wide = primaries if primaries in _PRIMARIES else _BT709
        if transfer in (_PQ, _HLG):
            kind = "PQ" if transfer == _PQ else "HLG"
            note = f"its high dynamic range ({kind}) was tone-mapped to sRGB"
            return cls(matrix, wide, transfer, (note,))
        if wide != _BT709:
            note = f"its colours were brought from {_PRIMARIES[wide][0]} to sRGB"
            return cls(matrix, wide, _BT709, (note,))
        return cls(matrix, _BT709, _BT709)

    @property
    def deep(self) -> bool:
        """Whether 8 bits are too few to convert from."""
        return self.primaries != _BT709 or self.transfer != _BT709

    def to_srgb(self, values: np.ndarray) -> Tensor:
        """Integer RGB values (height, width, 3) as fractions in sRGB, (3, height, width)."""
        result = torch.empty(3, *values.shape[:2])
        if not self.deep:
            result.copy_(torch.from_numpy(values).permute(2, 0, 1))
            return result.div_(255.0)
        for top in range(0, len(values), _ROWS):
            part = torch.from_numpy(_light(self.transfer)[values[top : top + _ROWS]])
            result[:, top : top + _ROWS] = self._shown(part).permute(2, 0, 1)
        return result

    def _shown(self, light: Tensor) -> Tensor:
        """Linear light (rows, width, 3) as sRGB values; 1 is white."""
        if self.transfer == _HLG:
            luminance = light @ torch.tensor([0.2627, 0.6780, 0.0593])
            light = light * luminance.clamp_min(1e-9).pow(_HLG_GAMMA - 1.0)[..., None]
            light = light * (_PEAK / _REFERENCE_WHITE)
        if self.primaries in _PRIMARIES:
            light = light @ torch.tensor(_PRIMARIES[self.primaries][1]).T
        light = light.clamp_min(0.0)
        if self.transfer in (_PQ, _HLG):
            light = tone_mapped(light)
        return from_linear(light.clamp(0.0, 1.0))


def tone_mapped(light: Tensor) -> Tensor:
    """Linear light (..., 3), 1 for reference white, in [0, 1] by the curve of this module."""
    j, peak = _KNEE, _PEAK / _REFERENCE_WHITE
    a = -j * j * (peak - 1.0) / (j * j - 2.0 * j + peak)
    b = (j * j - 2.0 * j * peak + peak) / (peak - 1.0)
    largest = light.amax(-1, keepdim=True).clamp_min(1e-9)
    below = largest.clamp_max(peak)
    curve = (b * b + 2.0 * b * j + j * j) / (b - a) * (below + a) / (below + b)
    return light * torch.where(largest <= j, largest, curve) / largest


@cache
def _light(transfer: int) -> np.ndarray:
    """Linear light of 16-bit values: of 203 cd/m² for PQ, of a scene for HLG, of white else."""
    signal = np.arange(_LEVELS) / (_LEVELS - 1)
    if transfer == _PQ:
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = signal ** (1.0 / m2)
        light = (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1.0 / m1)
        return (light * 10_000.0 / _REFERENCE_WHITE).astype(np.float32)
    if transfer == _HLG:
        a = 0.17883277
        b, c = 1.0 - 4.0 * a, 0.5 - a * np.log(4.0 * a)
        light = np.where(signal <= 0.5, signal**2 / 3.0, (np.exp((signal - c) / a) + b) / 12.0)
        return light.astype(np.float32)
    return (signal**_DISPLAY_GAMMA).astype(np.float32)
