"""What is known of the pairs so far, kept in one file so that a killed run can continue."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp import Result, Solution
from diffusion_geodesics.distance.pair import relative_error

RESULTS = list(Result)


@dataclass(frozen=True)
class PairTable:
    """What the solver said of the first pairs, in order; all of shape (pairs,) but ``cost``.

    Args:
        distance: relative to the mean of both ends.
        relative_error: its error bar divided by it.
        log_ratio: log p at the second point minus log p at the first.
        residual: of the geodesic equation.
        code: index of the result.
        cost: score evaluations and calls, shape (2,).
    """

    distance: Float[Tensor, " pairs"]
    relative_error: Float[Tensor, " pairs"]
    log_ratio: Float[Tensor, " pairs"]
    residual: Float[Tensor, " pairs"]
    code: Int[Tensor, " pairs"]
    cost: Int[Tensor, "2"]

    def __len__(self) -> int:
        return len(self.distance)

    @staticmethod
    def empty() -> PairTable:
        """No pair yet."""
        none = torch.empty(0, dtype=torch.float64)
        counts = torch.empty(0, dtype=torch.int64)
        return PairTable(none, none, none, none, counts, torch.zeros(2, dtype=torch.int64))

    def extended(self, solution: Solution) -> PairTable:
        """With a further batch of pairs."""
        new = {
            "distance": solution.distance,
            "relative_error": relative_error(solution),
            "log_ratio": solution.log_density[-1],
            "residual": solution.residual,
            "code": torch.tensor([RESULTS.index(r) for r in solution.results]),
        }
        joined = {
            name: torch.cat([getattr(self, name), value.detach().to(getattr(self, name))])
            for name, value in new.items()
        }
        spent = torch.tensor([solution.score_evals, solution.calls])
        return replace(self, **joined, cost=self.cost + spent)


def fingerprint(points: Tensor, *settings: object) -> str:
    """Tells one computation from another: a hash of the points and of all settings."""
    plain = points.detach().cpu().contiguous()
    text = repr((tuple(plain.shape), str(plain.dtype), *settings))
    return hashlib.sha256(plain.numpy().tobytes() + text.encode()).hexdigest()


def save_table(file: Path, table: PairTable, mark: str) -> None:
    """Write the table: whole, or not at all."""
    from safetensors.torch import save

    tensors = {f.name: getattr(table, f.name).contiguous() for f in fields(table)}
    file.parent.mkdir(parents=True, exist_ok=True)
    staging = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        staging.write_bytes(save(tensors, metadata={"fingerprint": mark}))
        os.replace(staging, file)
    finally:
        staging.unlink(missing_ok=True)


def load_table(file: Path, mark: str) -> PairTable:
    """The table in a file; an empty one where there is no file.

    Raises:
        ValueError: a file that is damaged, or belongs to another computation.
    """
    from safetensors import SafetensorError, safe_open

    if not file.exists():
        return PairTable.empty()
    try:
        with safe_open(file, framework="pt") as stored:
            if (stored.metadata() or {}).get("fingerprint") != mark:
                raise ValueError(
                    f"{file} holds distances of other points or settings; delete it, or name "
                    "another file to resume from"
                )
            return PairTable(**{f.name: stored.get_tensor(f.name) for f in fields(PairTable)})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}); delete it to start anew") from error
