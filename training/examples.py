"""The demo images: two different heads, and one head turned by 60 degrees. All held out.

python -m training.examples
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from PIL import Image

from training.bank import held_out, to_bytes
from training.factors import Factors
from training.portraits import render

STREAM = 7
"""Held-out offset from which the heads were picked by eye."""


def examples() -> dict[str, Factors]:
    """File stem to the portrait it shows."""
    heads = held_out(48, STREAM)

    def head(index: int, degrees: float, **changes: float) -> Factors:
        return heads.select(index).replace(yaw=math.radians(degrees), **changes)

    return {
        "portrait_a": head(3, -14.0),
        "portrait_b": head(28, 11.0, pitch=0.03),
        "turn_a": head(45, -30.0, gaze=0.0),
        "turn_b": head(45, 30.0, gaze=0.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="write the demo images")
    parser.add_argument("--folder", type=Path, default=Path("examples"))
    parser.add_argument("--size", type=int, default=512)
    o = parser.parse_args()
    o.folder.mkdir(parents=True, exist_ok=True)
    for stem, factors in examples().items():
        pixels = to_bytes(render(factors, o.size, 3))[0].transpose(1, 2, 0)
        Image.fromarray(pixels).save(o.folder / f"{stem}.png", optimize=True)


if __name__ == "__main__":
    main()
