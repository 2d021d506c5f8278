r"""What an interpolation will cost, before it is run: rows, calls, operations, memory.

Most stages are exact, since their counts follow from the settings (matching is left out by
networks without features). Three are upper bounds,
because they stop early: text inversion, the inversion's refinements, and the solver.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from diffusion_geodesics.apps.interpolate import COMPARED, solver_of
from diffusion_geodesics.apps.settings import Estimate, Family, Settings
from diffusion_geodesics.apps.survey import INTERVALS
from diffusion_geodesics.bvp.shortest import MOST
from diffusion_geodesics.correspondence import LEVELS, ROWS
from diffusion_geodesics.diffusion import (
    NFSD,
    SDS,
    Codec,
    Condition,
    Cost,
    Denoiser,
    Ledger,
    Published,
    Tally,
    codec_flops,
    guidance_bump,
    network_bytes,
    row_flops,
    sampling_rows,
)
from diffusion_geodesics.models import DiffusionModel

ADAPTIVE = ("text", "invert", "solve")
"""Stages that may stop early: their costs are upper bounds."""
VERIFY = 65


@dataclass(frozen=True)
class Estimation:
    """A prediction of :func:`interpolate`'s cost.

    Args:
        ledger: cost by stage; upper bounds for the stages in ``ADAPTIVE``, exact for the others
            (where the guidance is neither 0 nor 1 inside the path). Seconds are 0 unless timed.
        size: (height, width) of the images; dim: coordinates of a latent.
        row_flops: operations of one row.
        row_seconds: time of one row, where it was asked for.
        weights: bytes of the networks' weights.
        batch: rows in one piece of a batch, given the memory that is free now; batch_bytes: what
            they need while they are computed, a rough guess.
    """

    ledger: Ledger
    size: tuple[int, int]
    dim: int
    row_flops: int
    row_seconds: float | None
    weights: int
    batch: int
    batch_bytes: int


def estimate(
    model: DiffusionModel,
    size: tuple[int, int] | int | None = None,
    settings: Settings | None = None,
    *,
    timed: bool = False,
) -> Estimation:
    """Predict what :func:`interpolate` will cost with these settings.

    Args:
        model: the model.
        size: (height, width) that the images will be brought to, or the edge of a square; the
            model's own by default.
        settings: as for ``interpolate``.
        timed: time one row as well; seconds are then rows times that, which a GPU, batching, beats.

    Raises:
        ValueError: a size that the model does not take.

    Cost: one row through the network, and one image through the autoencoder at a quarter of the
    edge (its operations are proportional to the pixels, but for a few per cent of attention); a
    second row if timed.
    """
    settings = settings or Settings()
    asked = size if size is not None else settings.size or model.native_size
    height, width = (asked, asked) if isinstance(asked, int) else asked
    denoiser, codec = model.denoiser(height, width), model.codec(height, width)
    condition = model.encode_prompt(settings.prompt_a)
    row = row_flops(denoiser, condition)
    encoding, decoding = _codec_flops(model, height, width)
    seconds = _row_seconds(denoiser, condition) if timed else None
    tally = Tally(row, decoding)
    ledger = Ledger().add("encode", Cost(1, 1, tflop=(2 * encoding + 2 * decoding + row) / 1e12))
    for stage, cost, frames in _stages(denoiser, settings):
        counted = tally.frames(cost, frames)
        if stage == "text" and settings.text_inversion is not None:
            counted = tally.trained(cost, 2 * settings.text_inversion.steps)
        ledger = ledger.add(stage, counted)
    if seconds is not None:
        ledger = Ledger(
            tuple(
                (name, Cost(c.rows, c.calls, c.tflop / (row / 1e12) * seconds, c.tflop))
                for name, c in ledger.stages
            )
        )
    batches = denoiser.network.batches
    largest = max(settings.frames * (2 if settings.guidance != 1 else 1), INTERVALS + 1, VERIFY)
    batch = min(batches.rows, largest)
    return Estimation(
        ledger=ledger,
        size=(height, width),
        dim=denoiser.network.dim,
        row_flops=row,
        row_seconds=seconds,
        weights=network_bytes(denoiser.network, codec),
        batch=batch,
        batch_bytes=batch * batches.bytes_per_row,
    )


def _stages(denoiser: Denoiser, settings: Settings) -> list[tuple[str, Cost, int]]:
    """Name, cost in rows and calls, and images decoded, of each stage after encoding."""
    sampler = settings.sampler.sampler
    rungs = len(denoiser.schedule.ladder(settings.steps, settings.level))
    found: list[tuple[str, Cost, int]] = []
    if settings.text_inversion is not None:
        most = settings.text_inversion.most_rows
        found.append(("text", Cost(2 * most, most), 0))
    steps = sum(sampler.evaluations(last=k == rungs - 1) for k in range(rungs))
    walks = steps * sampler.sweeps * (1 + settings.refinements)
    found.append(("invert", Cost(2 * walks, walks), 0))
    if settings.carries:
        found.append(("match", Cost(2 * ROWS, len(LEVELS)), 0))
    if settings.family is Family.GEODESIC:
        found.append(("solve", _solve(settings), 0))
    found.append(("measure", _measure(settings), 0))
    films = [("decode", settings.frames)]
    if settings.compare:
        films.append(("compare", min(COMPARED, settings.frames)))
    for stage, frames in films:
        t = torch.linspace(0, 1, frames, dtype=torch.float64)
        weights = guidance_bump(t, settings.guidance)
        found.append((stage, Cost(sampling_rows(sampler, rungs, weights), steps), frames))
    return found


def _solve(settings: Settings) -> Cost:
    """Most evaluations of the solver: ends, levels, verification, a look at the initial path;
    and calibration where the curvature of the score is not known."""
    levels = solver_of(settings).levels(settings.tol, settings.max_steps)
    starts = settings.starts
    points = 2 * starts + VERIFY + MOST
    calls = 4
    if settings.estimate is not Estimate.LEVEL:
        points, calls = points + 2 * (levels[0].intervals - 1) * starts, calls + 1
    for level in levels:
        points += starts * (level.intervals - 1) * (level.max_steps + 1)
        calls += level.max_steps + 1
    nodes = _nodes(settings, random=settings.estimate is Estimate.PUBLISHED_RANDOM)
    return Cost(points * _prompts(settings) * nodes, calls * nodes)


def _measure(settings: Settings) -> Cost:
    """Paths measured in the metric, and the density of those whose metric is another's or that
    lie outside the chart: lerp on the sphere, slerp in flat space."""
    points = INTERVALS + 1
    nodes = _nodes(settings, random=False)
    metric = Cost(points * _prompts(settings) * nodes, nodes)
    density = Cost(points, 1)
    found = Cost()
    names = ["slerp", "lerp"] + (["hlerp"] if settings.family is Family.HLERP else [])
    plain = settings.estimate is Estimate.LEVEL
    for name in names:
        outside = name != "slerp" and not settings.flat
        found = found + metric
        if outside or not plain:
            found = found + density
    if settings.family is Family.GEODESIC:
        if settings.estimate is Estimate.PUBLISHED_RANDOM or settings.carries:
            found = found + metric
        if not plain:
            found = found + density
    return found


def _prompts(settings: Settings) -> int:
    """Rows that a point costs at one time step."""
    rules = {Estimate.SDS: SDS(), Estimate.NFSD: NFSD()}
    if settings.estimate is Estimate.LEVEL:
        return 1
    return rules.get(settings.estimate, Published()).evaluations


def _nodes(settings: Settings, random: bool) -> int:
    """Time steps of an estimate."""
    return settings.window_nodes if settings.estimate.distilled and not random else 1


def _codec_flops(model: DiffusionModel, height: int, width: int) -> tuple[int, int]:
    """Operations of encoding and decoding one image, from a smaller one."""
    multiple = model.size_multiple
    small = tuple(max(multiple, edge // 4 // multiple * multiple) for edge in (height, width))
    codec: Codec = model.codec(*small)
    scale = (height * width) / (small[0] * small[1])
    encoding, decoding = codec_flops(codec)
    return round(scale * encoding), round(scale * decoding)


def _row_seconds(denoiser: Denoiser, condition: Condition) -> float:
    x = torch.zeros(1, denoiser.network.dim)
    timestep = denoiser.schedule.timesteps(2)[-1]
    started = time.perf_counter()
    denoiser.output(x, timestep, condition).cpu()
    return time.perf_counter() - started
