r"""Denoisers: a network, what its output means, and the noise it was trained with.

With $x_t = a x_0 + s \varepsilon$ a network predicts $\varepsilon$, $x_0$, a velocity
($a \varepsilon - s x_0$, or $\varepsilon - x_0$ for flow matching), EDM's mixture of them, or the
score itself; each gives $\varepsilon$ and $x_0$, and the score of the noised density is

$$\nabla \log p_t(x \mid c) = -\frac{\hat\varepsilon(x, t, c)}{s_t}.$$
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion.condition import Condition
from diffusion_geodesics.diffusion.memory import ChunkedBatches
from diffusion_geodesics.diffusion.prediction import Prediction, Rows
from diffusion_geodesics.diffusion.schedule import NoiseSchedule
from diffusion_geodesics.runtime.cost import Counts, Meter

Features = tuple[Float[Tensor, "rows _ _ _"], ...]
"""Pictures of inner features, (rows, channels, height, width), coarse to fine."""


class NonFiniteError(ValueError):
    """A network gave NaN or infinity."""


class Network(ABC):
    """A network on flat latents, in whatever precision and on whatever device it lives."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Coordinates of a flat latent."""

    @property
    @abstractmethod
    def batches(self) -> ChunkedBatches:
        """How rows are cut into pieces that fit into memory."""

    @abstractmethod
    def __call__(self, x: Rows, timestep: float, condition: Condition) -> Rows:
        """The raw output for all rows at once; `condition` has as many rows as `x`."""

    def features(self, x: Rows, timestep: float, condition: Condition) -> Features:
        """The inner features at `x`, arguments as in a call, on grids that cover the image, by
        which the points of two images that show the same thing are found. They have the network's
        precision and device; the empty tuple where a network offers none.
        """
        return ()


@final
@dataclass(frozen=True)
class Denoiser:
    """A network with its prediction type and noise schedule.

    Values come back in the dtype and on the device of ``x`` (float32 or float64), whatever the
    network computes in. All latents go in one batch, cut only where memory demands it. ``meter``
    counts every evaluation, where there is one; see :meth:`metered`.
    """

    network: Network
    schedule: NoiseSchedule
    prediction: Prediction
    meter: Meter | None = field(default=None, compare=False, repr=False)

    def metered(self, meter: Meter) -> "Denoiser":
        """The same denoiser, counting its evaluations on a meter."""
        return replace(self, meter=meter)

    def count(self, nfe: int, *, backward: int = 0) -> None:
        """Count one batch of ``nfe`` evaluations, ``backward`` of them with a backward pass."""
        if self.meter is not None:
            self.meter.add(Counts(nfe=nfe, batches=1, backward=backward))

    def output(
        self, x: Rows, timestep: float, condition: Condition, *, differentiable: bool = False
    ) -> Rows:
        """The network's raw output at `x`, with `condition` of one row or as many as `x`.

        `differentiable` lets derivatives with respect to `x` pass; it takes more memory.

        Raises `ValueError` for a wrong shape, dtype or time step, `NonFiniteError` for NaN or
        infinity, `OutOfMemoryError` when a single row does not fit. Costs one row a row.
        """

        def network(*arguments: Any) -> tuple[Tensor]:
            return (self.network(*arguments),)

        pieces = self._pieces(network, x, timestep, condition, differentiable)
        self.count(x.shape[0], backward=x.shape[0] if differentiable else 0)
        value = torch.cat([torch.empty_like(x[:0]), *(piece for (piece,) in pieces)])
        _demand_finite(value, x, timestep)
        return value

    def features(self, x: Rows, timestep: float, condition: Condition) -> Features:
        """The network's inner features at `x`, coarse to fine, in its dtype and on its device; the
        empty tuple where it has none. What they are of, and how to compare them, each network's
        `features` says. No derivatives pass. All else as in `output`, the cost as well.
        """
        pieces = self._pieces(self.network.features, x, timestep, condition, False)
        values = tuple(torch.cat(level) for level in zip(*pieces, strict=True))
        if values:
            self.count(x.shape[0])
        for value in values:
            _demand_finite(value, x, timestep)
        return values

    def _pieces(
        self,
        network: Callable[[Tensor, float, Condition], tuple[Tensor, ...]],
        x: Tensor,
        timestep: float,
        condition: Condition,
        differentiable: bool,
    ) -> list[tuple[Tensor, ...]]:
        """What `network` gives for pieces of `x` that fit into memory, as `x` is kept."""
        if x.shape[1] != self.network.dim:
            raise ValueError(
                f"got latents of {x.shape[1]} coordinates; this network takes {self.network.dim}: "
                "build it for the height and width of the images"
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"got latents in {x.dtype}; expected float32 or float64")
        self.schedule.coefficients(timestep)
        condition = condition.expand(x.shape[0])

        @torch.inference_mode(not differentiable)
        def evaluate(piece: slice) -> tuple[Tensor, ...]:
            values = network(x[piece], timestep, condition.take(piece))
            return tuple(v.to(x.device).to(x.dtype) for v in values)  # in turn: mps has no float64

        return self.network.batches.map(evaluate, x.shape[0])

    def epsilon(
        self, x: Rows, timestep: float, condition: Condition, *, differentiable: bool = False
    ) -> Rows:
        r"""The predicted noise $\hat\varepsilon(x, t, c)$; all else as in `output`."""
        a, s = self.schedule.coefficients(timestep)
        output = self.output(x, timestep, condition, differentiable=differentiable)
        return self.prediction.epsilon(output, x, a, s)


def _demand_finite(value: Tensor, x: Tensor, timestep: float) -> None:
    finite = value.isfinite().flatten(1).all(dim=1)
    if bool(finite.all()):
        return
    bad = int((~finite).sum())
    if not bool(x.isfinite().all()):
        cause = "the latents given to it were not finite either"
    else:
        cause = "half precision may have overflowed: try dtype=torch.float32"
    raise NonFiniteError(
        f"got NaN or infinity from the network in {bad} of {len(value)} rows at time step "
        f"{timestep}; {cause}"
    )
