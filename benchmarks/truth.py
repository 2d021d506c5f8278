"""A few methods on pairs whose frames in between are known, with a report for each kind of pair.

python -m benchmarks.truth --pairs 4 --methods slerp natural --write runs/truth
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cyclopts

from benchmarks.evidence.methods import run
from benchmarks.evidence.pairs import Kind, true_pairs
from diffusion_geodesics import load_model, save
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.comparison.settings import ComparisonSettings

SETTINGS = ComparisonSettings()
Listed, Flat = cyclopts.Parameter(consume_multiple=True), cyclopts.Parameter("*")


def main(
    *,
    pairs: int = 4,
    kinds: Annotated[tuple[Kind, ...], Listed] = tuple(Kind),
    methods: Annotated[tuple[str, ...], Listed] = ("lerp", "slerp", "hlerp", "geodesic"),
    settings: Annotated[ComparisonSettings, Flat] = SETTINGS,
    prompts: bool = False,
    model: str = "embedded",
    write: Path = Path("runs/truth"),
) -> None:
    """Compare methods with the truth, and write a report for each kind of pair.

    Args:
        pairs: of each kind.
        kinds: of pairs.
        methods: as `geodesic compare` knows them.
        settings: of the comparison.
        prompts: take captions as prompts.
        model: name or folder.
        write: where the reports go; finished pairs are kept beside it.
    """
    cases = true_pairs(pairs, kinds)
    done = run(
        load_model(model),
        cases,
        [read_method(m) for m in methods],
        settings,
        prompts=prompts,
        resume=write.with_name(f"{write.name}.partial"),
    )
    for kind in kinds:
        names = {c.name for c in cases if c.kind is kind}
        part = replace(done, pairs=[p for p in done.pairs if p.name in names])
        print(kind.value)
        for quantity in part.measured:
            values = [part.mean(m, quantity.name).mean for m in part.methods]
            print(f"  {quantity.name:16}", *(f"{v:9.3f}" for v in values))
        save(part, write / kind.value, overwrite=True)


if __name__ == "__main__":
    cyclopts.run(main)
