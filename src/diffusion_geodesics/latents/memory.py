"""Whether a run fits into memory, from its settings and before its work begins."""

from __future__ import annotations

import torch

from diffusion_geodesics.diffusion.memory import OutOfMemoryError, total_bytes
from diffusion_geodesics.framing import choose_size
from diffusion_geodesics.latents.settings import Framing
from diffusion_geodesics.models import DiffusionModel, as_model

SOLVER_COPIES = 22
"""Tensors of a path's size that a solver holds."""
_FRAME_COPIES = 3
"""An image in single precision: as it comes from the decoder, in its batch, and changed."""


def demand_memory(
    model: DiffusionModel, size: tuple[int, int], *, images: int, latents: int = 0
) -> None:
    """`OutOfMemoryError` for a run that is larger than the memory of the machine.

    ``images`` are held at once, frames included; ``latents`` are those of a solver's paths, or else
    held at once, copies included.
    """
    height, width = size
    network = model.denoiser(height, width).network
    shape, device = f"{width}x{height} pixels", network.batches.device
    evaluation = {f"one evaluation at {shape}": network.batches.bytes_per_row}
    held = {
        f"{images} images of {shape}": _FRAME_COPIES * images * 12 * height * width,
        f"{latents} latents of {network.dim} numbers": 8 * latents * network.dim,
    }
    if device.type == "cpu":
        _demand(held | evaluation, device)
    else:
        _demand(evaluation, device)
        _demand(held, torch.device("cpu"))


def usual_size(model: DiffusionModel, framing: Framing) -> tuple[int, int]:
    """(height, width) at which square images will be worked on; others have the same area."""
    multiple = as_model(model).size_multiple
    return choose_size(
        [(1, 1)], native=model.native_size, multiple=multiple, requested=framing.size
    )


def _demand(needed: dict[str, int], device: torch.device) -> None:
    most, there = sum(needed.values()), total_bytes(device)
    if most > there:
        largest = max(needed, key=lambda what: needed[what])
        raise OutOfMemoryError(
            f"this would take about {most / 1e9:.0f} GB of memory ({largest} alone "
            f"{needed[largest] / 1e9:.0f} GB), and {device} has {there / 1e9:.0f} GB; choose a "
            "smaller size, or fewer frames, images or starts"
        )
