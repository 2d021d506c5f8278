"""Vectors of latent coordinates from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffusion_geodesics.extrapolation.vectors import read_vector


def test_vectors_are_read_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(6.0).reshape(2, 3))
    save_file({"v": torch.ones(4)}, tmp_path / "v.safetensors")
    found = read_vector(tmp_path / "v.npy")
    assert torch.equal(found.vector, torch.arange(6.0).double().reshape(2, 3))
    assert found.name == "v.npy"
    assert torch.equal(read_vector(tmp_path / "v.safetensors").vector, torch.ones(4))


def test_files_that_hold_no_vector_are_refused_in_one_line(tmp_path: Path) -> None:
    save_file({"v": torch.ones(4), "w": torch.ones(4)}, tmp_path / "two.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    (tmp_path / "v.txt").write_text("1")
    np.save(tmp_path / "objects.npy", np.array([object()]), allow_pickle=True)
    for name, complaint in (
        ("two.safetensors", "2 arrays"),
        ("broken.safetensors", "broken.safetensors cannot be read"),
        ("broken.npy", "broken.npy cannot be read"),
        ("objects.npy", "objects.npy cannot be read"),
        ("v.txt", "neither"),
        ("missing.npy", "does not exist"),
    ):
        with pytest.raises(ValueError, match=complaint):
            read_vector(tmp_path / name)
