"""The evidence on distances: its figures on cases that are known, and what it skips."""

from pathlib import Path

import pytest
import torch

from benchmarks.distances import __main__ as distances
from benchmarks.distances.metrics import euclid, square


def test_classes_that_are_apart_and_one_stray() -> None:
    places = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    area, nearest = distances.classes((places[:, None] - places).abs(), labels)
    assert (area.mean, nearest.mean, nearest.count) == (1.0, 1.0, 6)
    area, nearest = distances.classes(
        (places[:, None] - places).abs(), torch.tensor([0, 0, 1, 1, 1, 1])
    )
    assert nearest.mean == pytest.approx(5 / 6)
    assert 0.5 < area.mean < 1


def test_chance_is_a_half() -> None:
    points = torch.rand(120, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    area, _ = distances.classes(square(points, euclid), torch.arange(120) % 2)
    assert area.mean == pytest.approx(0.5, abs=0.03)


def test_a_person_with_another_expression_is_nearer_than_others() -> None:
    rows = distances._persons("portraits", 3, {"Euclid": euclid})
    assert len(rows) == 8
    found = rows["portraits, expression, against others"]["Euclid"]
    assert (found.mean, found.count) == (1.0, 3)


def test_what_is_missing_is_skipped_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    absent = tmp_path / "digits.npz"
    monkeypatch.setattr(distances, "PARTS", {"digits": (distances.digits, (absent,))})
    distances.main(only=("digits",), write=tmp_path)
    assert capsys.readouterr().out == f"digits: skipped, missing: {absent}\n"
    assert not list(tmp_path.iterdir())
