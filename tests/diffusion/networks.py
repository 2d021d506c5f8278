"""Any function as a network on 4 coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Condition,
    Denoiser,
    EpsilonPrediction,
    Network,
)
from tests.conformance.denoiser import scaled_linear

NOTHING = Condition((torch.zeros(1, 1),))


@final
@dataclass(frozen=True)
class FunctionNetwork(Network):
    """A function of the latents; ``seen`` collects the rows of each call."""

    function: Callable[[Tensor], Tensor]
    most: int = 256
    seen: list[int] = field(default_factory=list)

    @property
    def dim(self) -> int:
        return 4

    @property
    def batches(self) -> ChunkedBatches:
        return ChunkedBatches(1, torch.device("cpu"), self.most)

    def __call__(self, x: Tensor, timestep: float, condition: Condition) -> Tensor:
        self.seen.append(x.shape[0])
        return self.function(x)

    def denoiser(self) -> Denoiser:
        """A denoiser whose noise is what the function gives."""
        return Denoiser(self, scaled_linear(), EpsilonPrediction())
