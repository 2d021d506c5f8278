"""Vectors of latent coordinates from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.extrapolation.directions import GivenVector
from diffusion_geodesics.runtime.paths import expand


def read_vector(path: str | Path) -> GivenVector:
    """The direction along the only array of a .npy or .safetensors file.

    Raises:
        ValueError: no such file, another kind of file, or several arrays in it.
    """
    path = expand(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a .npy or .safetensors file")
    if path.suffix not in (".npy", ".safetensors"):
        raise ValueError(f"{path} is neither .npy nor .safetensors; convert it")
    try:
        found = _arrays(path)
    except Exception as error:  # both libraries have many, safetensors one of its own
        raise ValueError(f"{path} cannot be read as a vector: {error}") from error
    if len(found) != 1:
        raise ValueError(f"{path} holds {len(found)} arrays; expected one")
    return GivenVector(found[0], path.name)


def _arrays(path: Path) -> list[Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return list(load_file(path).values())
    return [torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float64))]
