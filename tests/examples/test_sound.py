"""The example of sounds: its notes are what they say, and it runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from tests.examples.running import load, run

pytestmark = pytest.mark.whole

notes = load("notes")


def test_a_note_has_its_pitch() -> None:
    factors = torch.tensor([[-0.8, 0.3, 0.0, -1.0], [0.0, -0.5, 0.5, -1.0], [0.7, 1.0, 1.0, -1.0]])
    found = notes.pitch(notes.note(factors))
    torch.testing.assert_close(found, 12 * (1.5 + 0.5 * factors[:, 0]), atol=0.15, rtol=0)


def test_a_note_sounds_at_its_frequency() -> None:
    """A dark note without vibrato: the largest bin of the Fourier transform is the fundamental."""
    samples = notes.waveform(notes.note(torch.tensor([[0.0, -1.0, -1.0, -1.0]]))[0])
    assert float(samples.abs().max()) == pytest.approx(1)
    spectrum = np.abs(np.fft.rfft(samples.numpy()))
    hertz = spectrum.argmax() * notes.RATE / len(samples)
    assert hertz == pytest.approx(110 * 2**1.5, rel=0.01)


@pytest.mark.filterwarnings("ignore:The inverted latents")  # of a network hardly trained
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "sound"
    run("sound", ["-o", str(out), "--quick"], monkeypatch)
    paths = ["geodesic", "lerp", "slerp", "blend", "truth"]
    files = {*(f"{p}.wav" for p in paths), "notes.png", "table.md", "figures.json", "between.npz"}
    assert {p.name for p in out.iterdir()} == files
    rate, samples = wavfile.read(out / "geodesic.wav")
    assert rate == notes.RATE
    assert len(samples) > 5 * rate
    assert np.abs(samples).max() > 20000
    shown = np.load(out / "between.npz")
    for end in (0, -1):
        np.testing.assert_allclose(shown["geodesic"][end], shown["lerp"][end], atol=1e-4)
        np.testing.assert_allclose(shown["blend"][end], shown["truth"][end], atol=1e-5)
    values = json.loads((out / "figures.json").read_text())["values"]
    assert len(values) == 4
    assert all(0 < v < 12 for of in values.values() for path in of.values() for v in path)
    assert len((out / "table.md").read_text().splitlines()) == 2 + 4 + 3
    monkeypatch.setattr("sys.argv", ["sound.py", "-o", str(out), "--level", "0.3"])
    assert load("array_paths").arguments("sound", 0.45, 1.0).level == 0.3  # its own folder is taken
