"""Notes of known factors as spectra over time, their pitch, and how they sound."""

from __future__ import annotations

import math

import torch
from torch import Tensor

FRAMES, BINS, OCTAVES, LOWEST = 16, 128, 5.0, 110.0  # bins from 110 Hz, 5 octaves up
HOP, RATE = 0.1, 22050  # seconds between frames; samples a second
FLOOR, UNIT = 0.03, 11.4  # magnitude below which all is silence; decibels of one unit


def note(factors: Tensor) -> Tensor:
    """Spectra (rows, 16, 128) of notes with factors (rows, 4) in [-1, 1]."""
    pitch, brightness, decay, vibrato = factors.to(torch.float32).unbind(-1)
    t, bins = torch.linspace(0, 1, FRAMES), torch.linspace(0, 1, BINS)
    wobble = 0.06 * (vibrato[:, None] + 1) * torch.sin(4 * math.pi * t)
    octaves = 1.5 + 0.5 * pitch[:, None] + wobble  # above the lowest bin, (rows, frames)
    spectrum = torch.zeros(len(factors), FRAMES, BINS)
    for k in range(1, 9):  # partials
        fall = (1.6 + 1.2 * decay[:, None]) * (0.6 + 0.2 * k)
        loudness = (-(k - 1) * (0.7 - 0.45 * brightness[:, None]) - t * fall).exp()
        centre = (octaves + math.log2(k)) / OCTAVES
        peak = torch.exp(-0.5 * ((bins - centre[..., None]) / 0.012) ** 2)
        spectrum += loudness[..., None] * peak
    return 20 * torch.log10(spectrum + FLOOR) / UNIT + 1.3


def pitch(notes: Tensor) -> Tensor:
    """Semitones above the lowest bin of the loudest series of partials in the first frames, of
    notes (..., 16, 128)."""
    loud = magnitude(notes[..., :4, :]).mean(-2)
    start = torch.linspace(0.8, 2.2, 281)
    bins = (start[:, None] + torch.arange(1, 5).log2()) / OCTAVES * (BINS - 1)
    low = bins.long()
    part = bins - low
    series = loud[..., low] * (1 - part) + loud[..., low + 1] * part
    return 12 * start[series.sum(-1).argmax(-1)]


def magnitude(notes: Tensor) -> Tensor:
    return (10 ** ((notes - 1.3) * UNIT / 20) - FLOOR).clamp_min(0)


def waveform(spectrum: Tensor) -> Tensor:
    """A note as samples in [-1, 1], by additive synthesis: the peaks of each frame become sines
    that go on from the nearest peak of the frame before."""
    loud = magnitude(spectrum)
    span = torch.arange(-int(HOP * RATE), int(HOP * RATE)) / RATE
    window = torch.cos(0.5 * math.pi * span / HOP) ** 2
    samples = torch.zeros(int((FRAMES + 1) * HOP * RATE) + 1)
    before: list[tuple[float, float]] = []  # (frequency, phase) of the peaks
    for number, frame in enumerate(loud):
        inner = frame[1:-1]
        peaks = ((inner > frame[:-2]) & (inner >= frame[2:]) & (inner > 0.01)).nonzero()[:, 0] + 1
        found, start = [], int(number * HOP * RATE)
        for p in peaks.tolist():
            left, top, right = frame[p - 1 : p + 2].clamp_min(1e-6).log().tolist()
            place = p + 0.5 * (left - right) / min(left - 2 * top + right, -1e-6)
            hertz = LOWEST * 2 ** (place / (BINS - 1) * OCTAVES)
            last = min(before, key=lambda b: abs(math.log(b[0] / hertz)), default=None)
            joined = last is not None and abs(math.log2(last[0] / hertz)) < 0.15
            phase = last[1] + math.pi * (last[0] + hertz) * HOP if last and joined else 0.0
            found.append((hertz, phase))
            tone = frame[p] * window * torch.cos(2 * math.pi * hertz * span + phase)
            samples[start : start + len(span)] += tone
        before = found
    return samples / samples.abs().max().clamp_min(1e-6)
