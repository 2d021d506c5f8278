"""Geodesics between sounds: a score model of synthesised notes, trained here in about a minute.

    python examples/sound.py -o runs/sound

A note is an array (16 time frames, 128 bins of log frequency) of magnitudes in decibels, made from
known pitch, brightness, decay and vibrato; the note with the factors half-way is the true
in-between of two notes. Writes figures, a picture and .wav files.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from scipy.io import wavfile
from torch import Tensor

import diffusion_geodesics as dg

sys.path.insert(0, str(Path(__file__).parent))
from array_paths import TIMES, arguments, in_betweens, save
from notes import BINS, FRAMES, HOP, OCTAVES, RATE, UNIT, note, pitch, waveform
from small_score import SCHEDULE, train


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Factors of the ends: `count` pairs where all differ, then as many whose pitch alone differs,
    by 2 semitones."""
    a, b = 2 * torch.rand(2, 2 * count, 4) - 1
    b[count:] = a[count:]
    b[count:, 0] -= a[count:, 0].sign() / 3  # pitch has 6 semitones a unit
    return a, b


def main() -> None:
    options = arguments("sound", 0.5, 1.0)
    folder = options.out
    begin = time.monotonic()
    torch.manual_seed(0)
    data = note(2 * torch.rand(200 if options.quick else 16000, 4) - 1)
    steps, components, count = (20, 16, 2) if options.quick else (3000, 160, 16)
    denoiser = train(data, steps=steps, components=components)
    model = dg.from_denoiser(denoiser, (FRAMES, BINS), schedule=SCHEDULE)
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
    shown = {name: x[:, count] for name, x in (found | {"truth": true}).items()}
    save(folder, "sound", figures, shown)
    rows = ("geodesic", "lerp", "slerp", "blend", "truth")
    figure, axes = plt.subplots(len(rows), 5, figsize=(10, 8), sharex=True, sharey=True)
    for name, line in zip(rows, axes, strict=True):
        gap = torch.zeros(RATE // 4)
        chosen = shown[name][::4]
        sound = torch.cat([torch.cat([waveform(x), gap]) for x in chosen])
        wavfile.write(folder / f"{name}.wav", RATE, (29000 * sound).to(torch.int16).numpy())
        for t, x, axis in zip(TIMES[::4].tolist(), chosen, line, strict=True):
            extent = (0, FRAMES * HOP, 0, OCTAVES)
            axis.imshow(
                x.T.numpy(), origin="lower", aspect="auto", extent=extent, vmin=-1.5, vmax=1.5
            )
            axis.set_title(f"{name}, t = {t:g}", fontsize=8)
    figure.supxlabel("seconds")
    figure.supylabel("octaves above 110 Hz")
    figure.tight_layout()
    figure.savefig(folder / "notes.png", dpi=80)
    print(f"{time.monotonic() - begin:.0f} s; notes.png and .wav files (5 notes each): {folder}")


if __name__ == "__main__":
    main()
