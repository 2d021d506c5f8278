"""Prompt embeddings optimised for each image, kept on disk by what they were made from."""

from __future__ import annotations

from dataclasses import replace

from diffusion_geodesics.diffusion import Condition, invert_text
from diffusion_geodesics.latents.choices import text_inversion_of
from diffusion_geodesics.latents.encode import Encoded
from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.keyed_cache import CacheEntry, KeyedCache
from diffusion_geodesics.runtime.run import Run

KIND = "prompt-embedding"


def optimise_embeddings(run: Run, encoded: Encoded, model_hash: str) -> Encoded:
    """The images with an embedding of their own each, from their prompts', as ``encoded.prompts``
    says.

    Nothing changes where the settings do not ask for it. The hash of the model's weights is part of
    the key under which results are kept. `OSError` if the folder of the settings cannot be written.

    Cost: ``TextInversion.most_nfe`` an image at most; none for images found in the cache.
    """
    method = text_inversion_of(encoded.prompts)
    if method is None:
        return encoded
    folder = encoded.prompts.cache
    cache = None if folder is None else KeyedCache(folder, KIND)
    keys = [
        content_key(model_hash, method, x, condition)
        for x, condition in zip(encoded.clean, encoded.conditions, strict=True)
    ]
    kept = [
        None if cache is None else _kept(cache, key, condition)
        for key, condition in zip(keys, encoded.conditions, strict=True)
    ]
    missing = [k for k, condition in enumerate(kept) if condition is None]
    if missing:
        if cache is not None:
            cache.demand_writable()
        with run.stage("text", total=method.steps) as stage:
            start = Condition.stack([encoded.conditions[k] for k in missing])
            found = invert_text(encoded.denoiser, encoded.clean[missing], start, method, stage)
        for k, condition in zip(missing, found, strict=True):
            kept[k] = condition
            if cache is not None:
                cache.put(keys[k], _entry(condition))
    return replace(encoded, conditions=tuple(c for c in kept if c is not None))


def _kept(cache: KeyedCache, key: str, start: Condition) -> Condition | None:
    """The embedding that is kept under a key, on the device of the one it was optimised from."""
    entry = cache.get(key)
    if entry is None:
        return None
    parts = enumerate(start.parts)
    return Condition(tuple(entry.tensors[f"part{k}"].to(part.device) for k, part in parts))


def _entry(condition: Condition) -> CacheEntry:
    return CacheEntry({f"part{k}": part for k, part in enumerate(condition.parts)})
