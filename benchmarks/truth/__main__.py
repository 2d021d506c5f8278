"""Methods against the truth, from the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.truth.pairs import MOST, Kind, true_pairs
from benchmarks.truth.running import by_kind, run
from diffusion_geodesics import Settings, load_model
from diffusion_geodesics.apps import Event
from diffusion_geodesics.apps.evidence.telling import save
from diffusion_geodesics.cli.methods import read_method


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__)
    parser.add_argument("--pairs", type=int, default=4, help=f"of each kind, at most {MOST}")
    parser.add_argument("--kinds", nargs="+", default=[k.value for k in Kind])
    parser.add_argument("--methods", nargs="+", default=["lerp", "slerp", "hlerp", "geodesic"])
    parser.add_argument("--level", type=float, default=0.4)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--prompts", action="store_true", help="captions as prompts")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--write", type=Path, default=Path("runs/truth"))
    o = parser.parse_args()
    cases = true_pairs(o.pairs, [Kind(k) for k in o.kinds])

    def tell(event: Event) -> None:
        print(event.stage, event.done, "of", event.of, event.detail, flush=True)

    done = run(
        load_model(o.model),
        cases,
        [read_method(m) for m in o.methods],
        Settings(level=o.level, frames=o.frames),
        prompts=o.prompts,
        resume=o.write.with_name(f"{o.write.name}.partial"),
        on_event=tell,
    )
    for kind, part in by_kind(done, cases).items():
        print(kind)
        for quantity in part.measured:
            values = [part.mean(m, quantity.name).value for m in part.methods]
            print(f"  {quantity.name:16}", *(f"{v:9.3f}" for v in np.asarray(values)))
        save(part, o.write / kind.replace(" ", "-"), overwrite=True)


if __name__ == "__main__":
    main()
