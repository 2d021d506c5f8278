"""How a batch is run: on what, by how many, and how often a pair is tried."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from diffusion_geodesics.latents.settings import AsText
from diffusion_geodesics.runtime.settings import SettingsGroup


class EngineName(Enum):
    """What computes."""

    HERE = "here"
    """Processes on this machine, one a GPU, or as many as cores and memory allow."""
    RAY = "ray"
    """A Ray cluster, or Ray on this machine."""
    SLURM = "slurm"
    """An array of SLURM jobs."""


def _shard(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    number, _, count = value.partition("/")
    if not number.isdecimal() or not count.isdecimal() or not 1 <= int(number) <= int(count):
        raise ValueError("should be I/N with I from 1 to N, such as 3/10")
    return int(number), int(count)


def _together(value: Any) -> Any:
    return None if value == "auto" else value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class BatchSettings(SettingsGroup):
    """How a batch is run."""

    title: ClassVar[str] = "Batch"

    all_pairs: bool = False
    """The arguments are images, and each is paired with every later one."""
    engine: EngineName = EngineName.HERE
    """What computes: processes here, a Ray cluster, or SLURM."""
    workers: int | None = Field(default=None, ge=1, le=100_000)
    """Worker processes; by default one a GPU, or as many as cores and memory allow. On SLURM the
    tasks of the array, 1 by default."""
    retries: int = Field(default=2, ge=0, le=100)
    """How often a pair is tried again that fails, or that kills its worker."""
    shard: Annotated[tuple[int, int] | None, BeforeValidator(_shard), AsText("I/N")] = None
    """Compute only the I-th of N equal parts, I from 1."""
    pairs_per_batch: Annotated[
        Annotated[int, Field(ge=1, le=10_000)] | None, BeforeValidator(_together), AsText("N|auto")
    ] = None
    """Pairs of equal size that are solved in one network batch; by default what measurements
    advise."""
    report: bool = True
    """Write strips, a film and a page for each pair, besides its numbers, path and frames."""
    address: str | None = None
    """Of a running Ray cluster, such as auto or HOST:6379; by default one is started here."""
    gpus: float | None = Field(default=None, ge=0, le=64)
    """GPUs that each worker gets from Ray or SLURM; by default 1 where there are some."""
    sbatch: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """NAME=VALUE for sbatch, as often as wanted, such as partition=gpu or time=120."""

    def inert(self) -> dict[str, str]:
        reason = f"the engine is {self.engine.value}"
        found: dict[str, str] = {}
        if self.engine is not EngineName.RAY:
            found["address"] = reason
        if self.engine is not EngineName.SLURM:
            found["sbatch"] = reason
        else:
            found["shard"] = f"{reason}, which shards by itself"
        if self.engine is EngineName.HERE:
            found["gpus"] = f"{reason}, which takes all of them"
        return found
