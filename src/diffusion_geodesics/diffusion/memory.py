"""Batches that fit: pieces sized by free memory, halved when memory runs out all the same."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

import torch

Value = TypeVar("Value")


class OutOfMemoryError(MemoryError):
    """Not even a single row fits into memory."""


@final
@dataclass(frozen=True)
class ChunkedBatches:
    """Runs a function over rows in pieces.

    - `bytes_per_row`: what one row needs while it is computed, an estimate.
    - `device`: where.
    - `max_rows`: an upper bound on a piece, whatever the memory.

    The first piece takes what fits into a good part of the free memory; a piece that runs out of
    memory is tried again at half the size, down to one row.
    """

    bytes_per_row: int
    device: torch.device
    max_rows: int = 256

    @property
    def rows(self) -> int:
        """How many rows a piece takes, given the memory free now."""
        fitting = int(0.6 * free_bytes(self.device)) // max(1, self.bytes_per_row)
        return max(1, min(self.max_rows, fitting))

    def map(self, function: Callable[[slice], Value], rows: int) -> list[Value]:
        """`function(piece)` for slices that cover `range(rows)` in order; `OutOfMemoryError` when a
        single row does not fit."""
        size, start, results = self.rows, 0, []
        while start < rows:
            result = _attempt(function, slice(start, min(start + size, rows)))
            if result is not None:
                results.append(result)
                start += size
            elif size > 1:
                size = min(size, rows - start) // 2 or 1
            else:
                raise OutOfMemoryError(
                    f"out of memory on {self.device} with a single row at a time; choose a "
                    "smaller image size, a half-precision dtype, or another device"
                )
        return results


_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch says so in several ways."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _SIGNS)


def _attempt(function: Callable[[slice], Value], piece: slice) -> Value | None:
    """The function's value, or None when memory ran out (the traceback is let go before)."""
    try:
        return function(piece)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def free_bytes(device: torch.device) -> int:
    """Memory that a computation on `device` may count on; on CPU a careful guess."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + cached
    total = total_bytes(device)
    try:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        free = 0
    return max(min(free, total) // 2, total // 8)


def total_bytes(device: torch.device) -> int:
    """Memory that a process on `device` can have at most; 32 GiB where that is not known."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 32 * 2**30
    with suppress(OSError, ValueError):  # of a container; the word "max" where it has none
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total
