"""Strips that are there already, ranked: output folders of ours, or frames of other programs.

No model is needed. Strips of the same pair are re-timed to equal steps in pooled pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from diffusion_geodesics import measures as measuring
from diffusion_geodesics.comparison.compare import BASELINE, measured
from diffusion_geodesics.comparison.diagnostics import diagnose
from diffusion_geodesics.comparison.pairs import Pair, frames_of, slug, strips_in
from diffusion_geodesics.comparison.rendered import Fixed
from diffusion_geodesics.comparison.result import ComparisonResult, Outcome, PairResult
from diffusion_geodesics.framing import fit
from diffusion_geodesics.images import load_image, psnr
from diffusion_geodesics.measures import External, Features, Quantity
from diffusion_geodesics.runtime.run import Observer, Run

SAME = 12.0  # dB below which the first frames of two strips are not taken for the same image


def evaluate(
    runs: Mapping[str, Path],
    *,
    frames: int = 9,
    pairs: Sequence[Pair] = (),
    features: Features | None = None,
    external: External | None = None,
    baseline: str | None = None,
    seed: int = 0,
    observer: Observer | None = None,
) -> ComparisonResult:
    """Measure strips of frames, method by method and pair by pair.

    Args:
        runs: folders by the name of the method: of frames, of one of our runs, or of one such
            folder a pair.
        frames: how many are compared, at equal feature steps, at least 3.
        pairs: the images that were to be joined, by the name of the pair. Without them each
            strip's own first and last frame stand in, and what is measured at the ends is left out.
        features: for re-timing; pooled pixels by default.
        external: measures by other people's networks; none by default.
        baseline: the method that win rates are against; slerp, or the first, by default.
        seed: of all resampling.

    Raises:
        ValueError: a folder without frames, no pair that all methods have, or strips of one pair
            that start or end with different images.
    """
    if frames < 3:
        raise ValueError(f"frames is {frames}; expected at least 3")
    if not runs:
        raise ValueError("got no runs; give at least one folder of frames")
    if baseline is not None and baseline not in runs:
        raise ValueError(f"the baseline is {baseline!r}, which is none of {', '.join(runs)}")
    look, external = features or measuring.PooledPixels(), external or External()
    strips = {name: strips_in(folder) for name, folder in runs.items()}
    common = _common_pairs(strips)
    known = {slug(p.name): p for p in pairs}
    measures = (measuring.Pictures(), measuring.FeatureLength(), *external.measures)
    results, run = [], Run(observer)
    for number, name in enumerate(sorted(common)):
        run.report("pairs", number, len(common), name)
        loaded = {m: torch.stack(frames_of(folder, name)) for m, folder in runs.items()}
        pair = known.get(slug(name)) if name else (pairs[0] if len(pairs) == 1 else None)
        results.append(_ranked(name or "pair", loaded, pair, frames, look, measures))
    quantities: list[Quantity] = [q for m in measures for q in m.quantities]
    if not pairs:
        quantities = [q for q in quantities if not q.name.startswith("end ")]
    run.report("pairs", len(common), len(common))
    result = ComparisonResult(
        methods=list(runs),
        quantities=quantities,
        pairs=results,
        baseline=baseline or (BASELINE if BASELINE in runs else next(iter(runs))),
        features=look.name,
        inception=external.inception,
        skipped=external.skipped,
        record={"frames": frames, **{f"folder.{n}": str(f) for n, f in runs.items()}},
        seed=seed,
    )
    return replace(result, warnings=diagnose(result))


def _common_pairs(strips: Mapping[str, Mapping[str, Path]]) -> set[str]:
    """The pairs that all runs have; a strip without a name takes part in the only one."""
    named = {run: set(found) for run, found in strips.items() if set(found) != {""}}
    common = set.intersection(*named.values()) if named else {""}
    each = {run: ", ".join(k or "(one strip)" for k in found) for run, found in strips.items()}
    listed = "; ".join(f"{run}: {names}" for run, names in each.items())
    if not common:
        raise ValueError(f"no pair is in all runs ({listed[:300]}); name folders after the pairs")
    if len(common) > 1 and len(named) < len(strips):
        raise ValueError(
            f"of {len(common)} pairs, it is not known to which a strip belongs ({listed[:300]}); "
            "put its frames into a folder named after the pair"
        )
    return common


def _ranked(
    name: str,
    strips: dict[str, torch.Tensor],
    pair: Pair | None,
    count: int,
    look: Features,
    measures: tuple,
) -> PairResult:
    height, width = next(iter(strips.values())).shape[2:]

    def at_size(images: Iterable[torch.Tensor]) -> torch.Tensor:
        return torch.stack([fit(image, height, width).image for image in images])

    sized = {method: at_size(strip) for method, strip in strips.items()}
    reference = next(iter(sized.values()))[[0, -1]]
    for method, strip in sized.items():
        error = float(psnr(strip[[0, -1]], reference).min())
        if error < SAME:
            raise ValueError(
                f"the strip of {method} for {name} does not start and end with the same images as "
                f"the others ({error:.1f} dB); evaluate it apart, or put each pair in a folder of "
                "its own"
            )
    outcomes, ends = {}, reference
    if pair is not None:
        ends = at_size(load_image(image) for image in (pair.a, pair.b))
    for method, strip in sized.items():
        film = Fixed(strip).frames(Run(), look, count)
        own = ends if pair is not None else film.frames[[0, -1]]
        note = "" if len(strip) >= count else f"{len(strip)} frames only: some are shown twice"
        outcomes[method] = Outcome(film.frames, measured(film.frames, own, look, measures), note)
    return PairResult(name, ends, outcomes)
