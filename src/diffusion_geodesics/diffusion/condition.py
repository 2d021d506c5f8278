"""What a network is conditioned on, row by row, and how that changes along a path."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.points import norm


class ConditionCurve(ABC):
    """A condition for every point of a curve with parameter t in [0, 1]."""

    @abstractmethod
    def at(self, t: Float[Tensor, " rows"]) -> "Condition":
        """The condition at each parameter: as many rows as `t` has."""

    def select(self, index: Int[Tensor, " paths"]) -> "ConditionCurve":
        """The curves of some of several paths; the same one where all paths share it."""
        return self


@final
@dataclass(frozen=True, eq=False)
class Condition(ConditionCurve):
    """Prompt embeddings and whatever else a model family wants, one row an image.

    - `parts`: tensors whose first axis counts rows. Stable Diffusion has one part, the text
      encoder's hidden states, (rows, tokens, width); other families add pooled embeddings or
      sizes. A single row serves any number of images.

    As a curve it is constant.
    """

    parts: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("got a condition of no tensors; expected at least one")
        counts = {part.shape[0] if part.ndim else None for part in self.parts}
        if len(counts) != 1 or None in counts or 0 in counts:
            shapes = [tuple(part.shape) for part in self.parts]
            raise ValueError(f"got parts of shapes {shapes}; all need the same rows in axis 0")

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.parts[0].shape[0]

    def expand(self, rows: int) -> "Condition":
        """This condition with `rows` rows: unchanged, or its single row repeated."""
        if self.rows == rows:
            return self
        if self.rows != 1:
            raise ValueError(
                f"got a condition of {self.rows} rows for {rows}; expected 1 or {rows}"
            )
        return Condition(tuple(part.expand(rows, *part.shape[1:]) for part in self.parts))

    def take(self, index: Int[Tensor, " rows"] | slice) -> "Condition":
        return Condition(tuple(part[index] for part in self.parts))

    def at(self, t: Float[Tensor, " rows"]) -> "Condition":
        return self.expand(t.shape[0])

    def lerp(self, other: "Condition", t: Float[Tensor, " rows"]) -> "Condition":
        """(1 - t) self + t other, row by row; `t` = 0 and 1 give the two exactly."""
        rows = t.shape[0]
        here, there = self.expand(rows), other.expand(rows)
        _same_layout(here, there)

        blended = (
            torch.lerp(a, b, _column(t, a)) for a, b in zip(here.parts, there.parts, strict=True)
        )
        return Condition(tuple(blended))

    @staticmethod
    def stack(conditions: Sequence["Condition"]) -> "Condition":
        """All rows of all `conditions`, in order."""
        for other in conditions[1:]:
            _same_layout(conditions[0], other)
        return Condition(
            tuple(torch.cat(parts) for parts in zip(*(c.parts for c in conditions), strict=True))
        )


@dataclass(frozen=True, eq=False)
class _Between(ConditionCurve):
    """A curve of embeddings from `start` (t = 0) to `end` (t = 1), one row each."""

    start: Condition
    end: Condition

    def __post_init__(self) -> None:
        if self.start.rows != 1 or self.end.rows != 1:
            raise ValueError(
                f"got ends of {self.start.rows} and {self.end.rows} rows; expected one row each"
            )
        _same_layout(self.start, self.end)


@final
@dataclass(frozen=True, eq=False)
class ConditionLine(_Between):
    """The straight line of embeddings from `start` (t = 0) to `end` (t = 1), one row each."""

    def at(self, t: Float[Tensor, " rows"]) -> Condition:
        return self.start.lerp(self.end, t)


@final
@dataclass(frozen=True, eq=False)
class ConditionArc(_Between):
    r"""The arc of embeddings from `start` to `end`: token by token slerp, norms interpolated.

    With unit vectors $u, v$ at an angle $\theta$ and norms $r_0, r_1$, the token at t is
    $((1-t) r_0 + t r_1)\,(\sin((1-t)\theta)\,u + \sin(t\theta)\,v)/\sin\theta$: no embedding on
    the way is shorter than the ends, as it is on a line. Both ends are exact; tokens that are
    parallel or opposite go straight.
    """

    def at(self, t: Float[Tensor, " rows"]) -> Condition:
        turned = (_turn(a, b, t) for a, b in zip(self.start.parts, self.end.parts, strict=True))
        return Condition(tuple(turned))


@final
@dataclass(frozen=True, eq=False)
class PathConditions(ConditionCurve):
    """A curve of conditions for each of several paths. Rows are points (..., paths) in order, so
    that row r belongs to path r modulo the number of paths."""

    curves: tuple[ConditionCurve, ...]

    def __post_init__(self) -> None:
        if not self.curves:
            raise ValueError("got no curve of conditions; expected one a path")

    def at(self, t: Float[Tensor, " rows"]) -> Condition:
        count = len(self.curves)
        if len(t) % count:
            raise ValueError(f"got {len(t)} points for {count} paths; expected a multiple")
        each = [curve.at(t[k::count]) for k, curve in enumerate(self.curves)]
        parts = zip(*(c.parts for c in each), strict=True)
        return Condition(tuple(torch.stack(p, 1).flatten(0, 1) for p in parts))

    def select(self, index: Int[Tensor, " paths"]) -> ConditionCurve:
        return PathConditions(tuple(self.curves[i] for i in index.tolist()))

    @staticmethod
    def of(curves: Sequence[ConditionCurve]) -> ConditionCurve:
        """The conditions of several paths: one curve alone where all are the same object."""
        if all(curve is curves[0] for curve in curves):
            return curves[0]
        return PathConditions(tuple(curves))


def _turn(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The arc from a to b at parameters t; see `ConditionArc`."""
    u = _column(t, a)
    r, q = norm(a), norm(b)
    first, last = a / r.clamp_min(1e-30), b / q.clamp_min(1e-30)
    angle = 2 * torch.atan2(norm(last - first), norm(last + first))
    sine = angle.sin()
    straight = sine.abs() < 1e-6
    safe = torch.where(straight, 1.0, sine)
    arc = ((1 - u) * angle).sin() / safe * first + (u * angle).sin() / safe * last
    arc = torch.where(straight, torch.lerp(a, b, u), ((1 - u) * r + u * q) * arc)
    return torch.where(u == 0, a, torch.where(u == 1, b, arc))


def _column(t: Tensor, like: Tensor) -> Tensor:
    """Parameters ready to be multiplied with a tensor of as many rows."""
    return t.to(device=like.device, dtype=like.dtype).view(-1, *[1] * (like.ndim - 1))


def _same_layout(a: Condition, b: Condition) -> None:
    left = [tuple(part.shape[1:]) for part in a.parts]
    right = [tuple(part.shape[1:]) for part in b.parts]
    if left != right:
        raise ValueError(
            f"got conditions of shapes {left} and {right} a row; expected the same: "
            "encode both prompts with the same model"
        )
