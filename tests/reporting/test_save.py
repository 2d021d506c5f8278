"""Saving: what was computed is kept, whatever fails at writing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from diffusion_geodesics.reporting import save as save_module
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.reporting.save import save, to_report
from diffusion_geodesics.runtime.storage import UnsavedError


@dataclass(frozen=True)
class _Strip:
    frames: Tensor


@dataclass(frozen=True)
class _Result:
    """A result whose report cannot be made."""

    strip: _Strip
    paths: tuple[Tensor, ...]
    about: dict[str, object] = field(default_factory=dict)


@pytest.fixture
def broken() -> _Result:
    return _Result(_Strip(torch.rand(3, 3, 8, 8)), (torch.rand(5, 7),), {"t": torch.arange(3)})


def test_the_tensors_of_a_result_without_a_report_are_kept(
    broken: _Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(result: object) -> Report:
        raise RuntimeError("no plot")

    monkeypatch.setattr(save_module, "to_report", fail)
    with pytest.raises(UnsavedError, match="no plot; what was written is in") as caught:
        save(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    kept = load_file(caught.value.kept / "result.safetensors")
    assert set(kept) == {"strip.frames", "paths.0", "about.t"}
    assert torch.equal(kept["strip.frames"], broken.strip.frames)


def test_what_is_no_result_is_said_to_be_none(tmp_path: Path) -> None:
    for wrong in (None, "a", 3):
        with pytest.raises(TypeError, match="expected the result of interpolate"):
            save(wrong, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError, match="got a int"):
        to_report(3)
