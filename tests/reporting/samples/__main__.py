"""`python -m tests.reporting.samples FOLDER` writes a report of every kind, to look at."""

from __future__ import annotations

import sys
from pathlib import Path

from diffusion_geodesics.reporting.writer import write
from tests.reporting.samples.interpolation import interpolation
from tests.reporting.samples.jobs import JOBS

for job, make in JOBS.items():
    print(write(make(), Path(sys.argv[1]) / job, overwrite=True))
print(write(interpolation(keyframes=6, n=51), Path(sys.argv[1]) / "film", overwrite=True))
print(write(interpolation(alpha=True), Path(sys.argv[1]) / "alpha", overwrite=True))
