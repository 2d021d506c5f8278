"""A batch from beginning to end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffusion_geodesics.batch.claims import Claims
from diffusion_geodesics.batch.dispatch import Dispatcher
from diffusion_geodesics.batch.job import Job
from diffusion_geodesics.batch.manifest import FILE, BatchPair, settled_manifest, shard_of
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.batch.pool import Pool
from diffusion_geodesics.batch.progress import BatchObserver, BatchProgress
from diffusion_geodesics.runtime.storage import absolute_path, check_folder

OURS = {"pairs", "failed", "claims", "work", "latents", "slurm"}
"""Folders of a batch; they may be there before its manifest."""


def check_out(out: str | Path) -> Path:
    """The folder of a batch as an absolute path, if it can be written; call it before any work."""
    path = absolute_path(out)
    if path.is_dir() and not (path / FILE).is_file():
        others = [p.name for p in path.iterdir() if not p.name.startswith(".")]
        if set(others) - OURS:
            raise FileExistsError(f"{path} exists and holds no batch; choose another folder")
    check_folder(path / "pairs" / "new")
    return path


def run_batch(
    job: Job,
    pairs: Sequence[BatchPair],
    out: str | Path,
    pool: Pool,
    *,
    shard: tuple[int, int] = (1, 1),
    together: int | None = None,
    observer: BatchObserver = lambda progress: None,
) -> BatchProgress:
    """Compute pairs and deliver each once; started again, go on from there."""
    path = check_out(out)
    store = PairStore(path)
    claims = Claims(path / "claims", 1)
    with pool:
        facts = pool.start()
        header = {**job.header, "model": facts.model}
        manifest = settled_manifest(path, header, pairs)
        store.sweep()
        mine = list(shard_of(manifest.pairs, shard))
        done, failed = store.done(), {key for key, _ in store.failures()}
        claims.sweep(done | failed)
        left = [p for p in mine if p.key not in done]
        again = [p for p in left if p.key in failed]
        for pair in again:
            store.forget_failure(pair.key)
        workers = pool.grow(facts, max(1, len(left)))
        progress = BatchProgress(len(mine), len(mine) - len(left), workers=workers)
        dispatcher = Dispatcher(pool, store, progress, observer)
        order = [p for p in left if p.key not in failed] + again
        ended = False
        try:
            share = -(-len(left) // workers) or 1  # so that every worker has something to do
            found = dispatcher.run(order, together or min(facts.together, share))
            ended = True
            return found
        finally:
            pool.close()
            store.sweep()
            claims.sweep(store.done(), interrupted=not ended)
