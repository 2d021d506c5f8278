"""Embeddings optimised for both images, kept on disk by what they were made from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.job import Job
from diffusion_geodesics.diffusion import Condition, Cost, TextInversion, invert_text


def invert_prompts(
    job: Job,
    clean: Float[Tensor, "2 dim"],
    model_hash: str,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[Job, Cost, int]:
    """The job with an embedding of its own for each image, from its prompt's.

    Args:
        job: with ``settings.text_inversion`` set.
        clean: both latents.
        model_hash: of the weights; part of the name under which results are kept.

    Returns:
        The job, the cost in rows (none where both were in ``settings.cache``), and the rows of
        training among them.
    """
    method = job.settings.text_inversion or TextInversion()
    folder = None if job.settings.cache is None else Path(job.settings.cache).expanduser()
    keys = [
        _key(x, condition, model_hash, method)
        for x, condition in zip(clean, job.conditions, strict=True)
    ]
    kept = [None if folder is None else _load(folder / f"{key}.safetensors") for key in keys]
    missing = [k for k, condition in enumerate(kept) if condition is None]
    cost, trained = Cost(), 0
    if missing:
        start = Condition.stack([job.conditions[k] for k in missing])
        found, cost, trained = invert_text(job.denoiser, clean[missing], start, method, on_step)
        for k, condition in zip(missing, found, strict=True):
            kept[k] = condition
            if folder is not None:
                _save(folder / f"{keys[k]}.safetensors", condition)
    first, last = (condition for condition in kept if condition is not None)
    return replace(job, conditions=(first, last)), cost, trained


def _key(x: Tensor, condition: Condition, model_hash: str, method: TextInversion) -> str:
    """SHA-256 of everything that an embedding depends on."""
    digest = hashlib.sha256(f"{model_hash} {method}".encode())
    for tensor in (x, *condition.parts):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load(file: Path) -> Condition | None:
    from safetensors.torch import load_file

    if not file.is_file():
        return None
    parts = load_file(file)
    return Condition(tuple(parts[f"part{k}"] for k in range(len(parts))))


def _save(file: Path, condition: Condition) -> None:
    from safetensors.torch import save

    file.parent.mkdir(parents=True, exist_ok=True)
    parts = {f"part{k}": p.detach().cpu().contiguous() for k, p in enumerate(condition.parts)}
    half = file.with_suffix(f".{os.getpid()}")
    half.write_bytes(save(parts))
    half.replace(file)
