"""Geodesics between sounds: a score model of synthesised notes, trained here in about a minute.

    python examples/sound.py -o runs/sound

A note is an array (16 time frames, 128 bins of log frequency) of magnitudes in decibels, made from
known pitch, brightness, decay and vibrato; the note with the factors half-way is the true
in-between of two notes. Writes figures, a picture and .wav files.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import wave
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

import diffusion_geodesics as dg

sys.path.insert(0, str(Path(__file__).parent))
from array_paths import TIMES, in_betweens, own_folder, save_figures
from small_score import train

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


def write_wav(path: Path, samples: Tensor) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((32767 * 0.9 * samples).to(torch.int16).numpy().tobytes())


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Factors of the ends: `count` pairs where all differ, then as many whose pitch alone differs,
    by 2 semitones."""
    a, b = 2 * torch.rand(2, 2 * count, 4) - 1
    b[count:] = a[count:]
    b[count:, 0] -= a[count:, 0].sign() / 3  # pitch has 6 semitones a unit
    return a, b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/sound"))
    parser.add_argument("--quick", action="store_true", help="a tiny training, for tests")
    parser.add_argument("--level", type=float, default=0.45, help="noise level")
    parser.add_argument("--strength", type=float, default=1.0, help="α·d of the geodesic")
    options = parser.parse_args()
    folder = own_folder(options.out, "sound")
    begin = time.monotonic()
    torch.manual_seed(0)
    data = note(2 * torch.rand(200 if options.quick else 16000, 4) - 1)
    steps, components, count = (20, 16, 2) if options.quick else (3000, 160, 16)
    model = dg.from_denoiser(train(data, steps=steps, components=components), (FRAMES, BINS))
    print(f"trained in {time.monotonic() - begin:.0f} s")
    torch.manual_seed(1)  # other notes than those of the training
    a, b = pairs(count)
    found = in_betweens(model, options.level, note(a), note(b), options.strength)
    true = torch.stack([note(a + (b - a) * t) for t in TIMES.tolist()])
    kinds = {"all factors differ": slice(count), "2 semitones apart": slice(count, None)}
    figures = {}
    for kind, which in kinds.items():
        errors = {n: (x - true)[1:-1, which].double() for n, x in found.items()}
        figures[f"error (dB), {kind}"] = {
            n: UNIT * e.square().mean((-1, -2)).sqrt().mean(0) for n, e in errors.items()
        }
        figures[f"pitch error (semitones), {kind}"] = {
            n: (pitch(x) - pitch(true))[1:-1, which].abs().double().mean(0)
            for n, x in found.items()
        }
    save_figures(folder, "sound", figures)
    shown = {name: x[:, count] for name, x in (found | {"truth": true}).items()}
    np.savez_compressed(folder / "between.npz", **{name: x.numpy() for name, x in shown.items()})
    rows = ("geodesic", "lerp", "slerp", "blend", "truth")
    figure, axes = plt.subplots(len(rows), 5, figsize=(10, 8), sharex=True, sharey=True)
    for name, line in zip(rows, axes, strict=True):
        gap = torch.zeros(RATE // 4)
        chosen = shown[name][::4]
        write_wav(
            folder / f"{name}.wav", torch.cat([torch.cat([waveform(x), gap]) for x in chosen])
        )
        for t, x, axis in zip(TIMES[::4].tolist(), chosen, line, strict=True):
            extent = (0, FRAMES * HOP, 0, OCTAVES)
            axis.imshow(x.T, origin="lower", aspect="auto", extent=extent, vmin=-1.5, vmax=1.5)
            axis.set_title(f"{name}, t = {t:g}", fontsize=8)
    figure.supxlabel("seconds")
    figure.supylabel("octaves above 110 Hz")
    figure.tight_layout()
    figure.savefig(folder / "notes.png", dpi=80)
    print(f"{time.monotonic() - begin:.0f} s; notes.png and .wav files (5 notes each): {folder}")


if __name__ == "__main__":
    main()
