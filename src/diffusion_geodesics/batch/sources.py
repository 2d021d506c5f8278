"""Where the pairs of a batch come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.runtime.paths import expand


def pairs_from(sources: Sequence[Path], *, all_pairs: bool = False) -> list[BatchPair]:
    """The pairs that are named."""
    if all_pairs:
        images = [os.path.abspath(expand(source)) for source in sources]
        if len(images) < 2:
            raise ValueError(f"got {len(images)} images; give at least two for all their pairs")
        digits = len(str(len(images) - 1))
        names = [f"{i:0{digits}d}-{Path(image).stem}" for i, image in enumerate(images)]
        both = zip(combinations(names, 2), combinations(images, 2), strict=True)
        return [BatchPair(f"{x}-{y}", a, b) for (x, y), (a, b) in both]
    from diffusion_geodesics.comparison.pairs import read_pairs

    if len(sources) != 1:
        raise ValueError(
            f"got {len(sources)} sources of pairs; give one CSV, JSON or JSONL file or folder, or "
            "all_pairs and images"
        )
    found: list[BatchPair] = []
    for pair in read_pairs(sources[0]):
        a, b = (os.path.abspath(str(image)) for image in (pair.a, pair.b))
        found.append(BatchPair(pair.name, a, b, pair.prompt_a, pair.prompt_b))
    return found
