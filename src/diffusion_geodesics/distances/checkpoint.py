"""A resumable table of solved pairs, in one file that is written atomically."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp import Result, Solution
from diffusion_geodesics.distances.pair import relative_error

RESULTS = list(Result)


@dataclass(frozen=True)
class PairTable:
    """Results of the first pairs, in order; all of shape (pairs,) except ``cost``."""

    distance: Float[Tensor, " pairs"]  # with the density relative to the mean of both ends
    relative_error: Float[Tensor, " pairs"]  # its error bar divided by it
    log_ratio: Float[Tensor, " pairs"]  # log p at the second point minus that at the first
    residual: Float[Tensor, " pairs"]  # of the geodesic equation
    code: Int[Tensor, " pairs"]  # index of the :class:`Result`
    cost: Int[Tensor, "2"]  # score evaluations and batches
    checked: Int[Tensor, "1"]  # 1 once the triangle inequality of all pairs was looked at

    def __len__(self) -> int:
        return len(self.distance)

    @staticmethod
    def empty() -> PairTable:
        """A table without pairs."""
        none = torch.empty(0, dtype=torch.float64)
        counts = torch.empty(0, dtype=torch.int64)
        cost, checked = (torch.zeros(n, dtype=torch.int64) for n in (2, 1))
        return PairTable(none, none, none, none, counts, cost, checked)

    def extended(self, solution: Solution) -> PairTable:
        """The table with a further batch of pairs."""
        new = ((name, getattr(self, name), v) for name, v in _columns(solution).items())
        joined = {name: torch.cat([old, v.detach().to(old)]) for name, old, v in new}
        return replace(self, **joined).charged(solution)

    def replaced(
        self, rows: Int[Tensor, " some"], solution: Solution, which: Int[Tensor, " some"]
    ) -> PairTable:
        """The table with other results for some pairs, at no cost."""
        new = ((name, getattr(self, name), v) for name, v in _columns(solution).items())
        put = {n: old.index_copy(0, rows, v.detach().cpu()[which].to(old)) for n, old, v in new}
        return replace(self, **put)

    def charged(self, solution: Solution) -> PairTable:
        """The table with the cost of a solution added."""
        return replace(self, cost=self.cost + torch.tensor([solution.nfe, solution.batches]))


def _columns(solution: Solution) -> dict[str, Tensor]:
    return {
        "distance": solution.distance,
        "relative_error": relative_error(solution),
        "log_ratio": solution.log_density[-1],
        "residual": solution.residual,
        "code": torch.tensor([RESULTS.index(r) for r in solution.results]),
    }


def fingerprint(points: Tensor, *settings: object) -> str:
    """A hash that identifies a computation."""
    plain = points.detach().cpu().contiguous()
    text = repr((tuple(plain.shape), str(plain.dtype), *settings))
    return hashlib.sha256(plain.numpy().tobytes() + text.encode()).hexdigest()


def save_table(file: Path, table: PairTable, mark: str) -> None:
    """Write a table atomically."""
    save_tensors(file, {f.name: getattr(table, f.name) for f in fields(table)}, mark)


def load_table(file: Path, mark: str) -> PairTable:
    """Read a table; an empty one if there is no file."""
    found = load_tensors(file, mark)
    return PairTable.empty() if found is None else PairTable(**found)


def save_tensors(file: Path, tensors: Mapping[str, Tensor], mark: str) -> None:
    """Write tensors atomically, with the hash of the computation that they are of."""
    from safetensors.torch import save

    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    staging = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        staging.write_bytes(save(plain, metadata={"fingerprint": mark}))
        os.replace(staging, file)
    finally:
        staging.unlink(missing_ok=True)


def load_tensors(file: Path, mark: str) -> dict[str, Tensor] | None:
    """Read tensors of a computation; None if there is no file."""
    from safetensors import SafetensorError, safe_open

    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            if (stored.metadata() or {}).get("fingerprint") != mark:
                raise ValueError(
                    f"{file} holds distances of other points or settings; delete it, or name "
                    "another file to resume from"
                )
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}); delete it to start anew") from error
