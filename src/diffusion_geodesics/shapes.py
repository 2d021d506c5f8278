"""Shapes that recur in the mathematics: ``*batch`` or ``paths`` curves, ``dim`` coordinates."""

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Times: TypeAlias = Float[Tensor, "*#batch"]
Points: TypeAlias = Float[Tensor, "*batch dim"]
Values: TypeAlias = Float[Tensor, "*batch"]
Nodes: TypeAlias = Float[Tensor, "nodes paths dim"]
PathPoints: TypeAlias = Float[Tensor, "paths dim"]
PathValues: TypeAlias = Float[Tensor, " paths"]
