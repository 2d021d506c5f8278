"""Results of pairs, kept on disk by what they were made from."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast, final

import torch

from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.result import Outcome, PairResult
from diffusion_geodesics.comparison.settings import KEPT_PAIRS
from diffusion_geodesics.images import ImageSource, read_image
from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.keyed_cache import CacheEntry, KeyedCache
from diffusion_geodesics.runtime.paths import expand


@final
@dataclass(frozen=True)
class KeptPairs:
    """A folder that keeps the results of pairs, or nothing.

    Frames are kept in 8 bits, as they are measured.
    """

    folder: str | os.PathLike[str] | None  # None to keep nothing
    made_with: tuple[object, ...]  # what all results depend on besides the pair itself

    def get(self, pair: Pair, compute: Callable[[], PairResult]) -> PairResult:
        """The result of a pair, computed and kept if it is not there."""
        if self.folder is None:
            return compute()
        cache, key = KeyedCache(expand(self.folder), KEPT_PAIRS), self._key(pair)
        entry = cache.get(key)
        if entry is not None:
            return _result(pair, entry)
        cache.demand_writable()
        found = compute()
        cache.put(key, _entry(found))
        return found

    def _key(self, pair: Pair) -> str:
        images = (_content(pair.a), _content(pair.b))
        return content_key(self.made_with, pair.name, pair.prompt_a, pair.prompt_b, images)


def _content(image: ImageSource) -> object:
    """What an image is, for a key: the bytes of its file, or its pixels."""
    if isinstance(image, str | os.PathLike):
        return expand(image).read_bytes()
    picture = read_image(image)
    return picture.pixels, picture.alpha


def _entry(result: PairResult) -> CacheEntry:
    tensors = {"ends": result.ends.float()}
    about: list[dict[str, object]] = []
    for k, (name, outcome) in enumerate(result.outcomes.items()):
        tensors[f"frames{k}"] = (outcome.frames * 255).round().to(torch.uint8)
        rest = {"scores": dict(outcome.scores), "note": outcome.note, "failed": outcome.failed}
        about.append({"name": name, **rest})
    return CacheEntry(tensors, {"outcomes": about, "foreign": result.foreign})


def _result(pair: Pair, entry: CacheEntry) -> PairResult:
    about = cast("list[Mapping[str, Any]]", entry.metadata["outcomes"])
    outcomes = {
        str(told["name"]): Outcome(
            entry.tensors[f"frames{k}"].float() / 255, told["scores"], told["note"], told["failed"]
        )
        for k, told in enumerate(about)
    }
    foreign = str(entry.metadata["foreign"])
    return PairResult(pair.name, entry.tensors["ends"], outcomes, foreign)
