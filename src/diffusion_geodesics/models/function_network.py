"""A user's function as a network."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from threading import RLock
from typing import Any, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Condition, Features, Network, Rows
from diffusion_geodesics.points import GradientUse

NoiseFunction = Callable[[Tensor, float], Tensor] | Callable[[Tensor, float, Tensor], Tensor]
"""(points, sigma), or (points, sigma, embeddings), -> what is predicted, of the points' shape."""

FeatureFunction = (
    Callable[[Tensor, float], Sequence[Tensor]]
    | Callable[[Tensor, float, Tensor], Sequence[Tensor]]
)
"""Arguments as a `NoiseFunction`'s -> inner features, each (rows, channels, height, width)."""


@final
@dataclass(frozen=True, eq=False)
class FunctionNetwork(Network):
    """A function as a network. Points come in the geometry's own precision, on their device.

    ``function`` gives what is predicted at (points, time step), and embeddings if it is
    ``conditional``; it receives copies, which it may change, flat or in the latents' shape.
    ``inner`` gives inner features, called as the function is. ``lock`` is held during each call,
    for functions that keep state; ``use`` knows whether the function takes gradients inside.
    """

    function: NoiseFunction
    latent_shape: tuple[int, ...]
    conditional: bool
    flat: bool
    inner: FeatureFunction | None = None
    lock: AbstractContextManager[Any] = field(default_factory=RLock, repr=False)
    use: GradientUse = field(default_factory=GradientUse, repr=False)

    @property
    def dim(self) -> int:
        return math.prod(self.latent_shape)

    @property
    def parameters(self) -> Iterator[Tensor]:
        """Those of the function, where it is a module."""
        if isinstance(self.function, torch.nn.Module):
            yield from self.function.parameters()

    @property
    def device(self) -> torch.device:
        """Where the function's own parameters are; the CPU for one without."""
        return next((p.device for p in self.parameters), torch.device("cpu"))

    @property
    def batches(self) -> ChunkedBatches:
        """By a rough estimate: a thousand numbers alive for each coordinate."""
        return ChunkedBatches(8_000 * self.dim, self.device)

    def __call__(self, x: Rows, timestep: float, condition: Condition) -> Rows:
        """The function's value; `ValueError` if that is no tensor of the points' shape."""
        value = partial(self._value, x, timestep, condition)
        alone = torch.is_inference_mode_enabled()
        with self.lock, torch.inference_mode(False):
            return self.use.values(value) if alone else value()

    def _value(self, x: Tensor, timestep: float, condition: Condition) -> Tensor:
        points, *given = self._arguments(x, condition)
        shape = points.shape
        value: Any = self.function(points, timestep, *given)
        if not isinstance(value, Tensor) or value.shape != shape:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"got values of shape {got} from the function at points of {tuple(shape)}; "
                "expected a tensor of the same shape"
            )
        return value.flatten(1)

    def features(self, x: Rows, timestep: float, condition: Condition) -> Features:
        """What ``inner`` gives; `ValueError` if that is no tuple of features, row by row."""
        if self.inner is None:
            return ()
        with self.lock, torch.inference_mode(False):
            points, *given = self._arguments(x, condition)
            values: Any = self.inner(points, timestep, *given)
        _check_features(values, len(x))
        return tuple(value.detach() for value in values)

    def _arguments(self, x: Tensor, condition: Condition) -> list[Tensor]:
        """Copies of the points in the function's shape and, where it takes them, embeddings."""
        points = x.clone().to(self.device)
        points = points if self.flat else points.unflatten(1, self.latent_shape)
        return [points, *(p.to(self.device).clone() for p in condition.parts if self.conditional)]


def _check_features(values: Any, rows: int) -> None:
    if not isinstance(values, tuple | list):
        raise ValueError(
            f"got a {type(values).__name__} from the features function; expected a tuple of "
            "tensors: return (features,) for a single one"
        )
    for value in values:
        shape = tuple(value.shape)
        if len(shape) != 4 or shape[0] != rows:
            raise ValueError(
                f"got features of shape {shape} for {rows} points; expected (rows, channels, "
                "height, width) with as many rows as points"
            )
