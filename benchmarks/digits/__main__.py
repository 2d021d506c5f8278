"""Frames between handwritten digits, measured: the results of the section in docs/evidence.md.

python -m benchmarks.digits --pairs 80

The weights and images are looked for in the folder that DIFFUSION_GEODESICS_DATA names.
"""

from __future__ import annotations

from pathlib import Path

import cyclopts

from benchmarks.digits.study import PAIRS, run
from benchmarks.record import RESULTS, write_json


def main(*, pairs: int = PAIRS, quick: bool = False, pool_size: int = 2) -> None:
    """Measure and write.

    Args:
        pairs: at the main level, half of them of one class.
        quick: few methods, written into runs/.
        pool_size: processes, of one core each.
    """
    folder = Path("runs") if quick else RESULTS / "evidence"
    result = run(pairs, quick=quick, pool_size=pool_size)
    for part in result["studies"]:
        print(f"{part['name']}: {part['pairs']} pairs, level {part['level']:g}")
        for row in part["rows"]:
            print(f"  {row['method']}")
            for name, value in row["values"].items():
                print(f"    {name:28}", value, row["wins"].get(name, ""))
    write_json(folder / "digits.json", result)
    print(f"{folder / 'digits.json'}, {result['seconds']} s")


if __name__ == "__main__":
    cyclopts.run(main)
