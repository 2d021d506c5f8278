"""What a film will cost, in a sentence before the button is pressed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, final

from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.web.job_board import JobBoard
from diffusion_geodesics.web.progress import duration

if TYPE_CHECKING:
    from diffusion_geodesics.interpolation.estimate import Estimation

MOST_KEPT = 64
"""Estimates that are kept."""


@final
class Estimates:
    """Estimates of films by models that are loaded; the last ones are kept."""

    def __init__(self, board: JobBoard) -> None:
        self._board = board
        self._kept: OrderedDict[tuple[str, str, int], Estimation] = OrderedDict()

    def words(self, model: str, settings: InterpolationSettings, count: int) -> str:
        """The cost of a film in a sentence.

        Raises:
            ValueError: as `estimate`.
        """
        found = self._find(model, settings, count)
        if found is None:
            loaded = self._board.queue(model).model is not None
            return f"The estimate follows once the model is {'free' if loaded else 'loaded'}."
        total, memory = found.costs.total, (found.weights + found.batch_bytes) / 2**30
        return (
            f"At most {total.nfe:,} network evaluations, about {duration(total.seconds)} on this "
            f"machine and {memory:.1f} GiB of memory, at {found.size[1]} × {found.size[0]} pixels."
        )

    def seconds(self, model: str, settings: InterpolationSettings, count: int) -> dict[str, float]:
        """Seconds by stage, at most; empty where nothing is known."""
        found = self._find(model, settings, count)
        return {} if found is None else {name: c.seconds for name, c in found.costs.stages}

    def _find(self, model: str, settings: InterpolationSettings, count: int) -> Estimation | None:
        """Kept, or made now if the model is loaded and free: one network evaluation is timed."""
        key = (model, settings.model_dump_json(), max(2, count))
        queue = self._board.queue(model)
        if key not in self._kept:
            if queue.model is None or not queue.idle:
                return None
            from diffusion_geodesics.interpolation.estimate import estimate

            with queue.using:
                self._kept[key] = estimate(queue.model, settings, keyframes=key[2], timed=True)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]
