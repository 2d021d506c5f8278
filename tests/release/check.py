"""``make release-check``: build, look into what was built, install it elsewhere, run it there.

>>> python -m tests.release.check dist

Builds the source archive and, from it, the wheel; checks that both are complete and small enough;
installs the wheel with its dependencies into a fresh virtual environment outside the checkout; runs
``geodesic doctor`` and ``geodesic demo`` there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LARGEST_WHEEL = 16e6
"""Bytes: what a wheel may take at most."""
IN_WHEEL = (
    "diffusion_geodesics/__init__.pyi",
    "diffusion_geodesics/py.typed",
    "diffusion_geodesics/examples/portrait_a.png",
    "diffusion_geodesics/examples/portrait_b.png",
    "diffusion_geodesics/models/embedded/model_index.json",
    "diffusion_geodesics/models/embedded/unet/diffusion_pytorch_model.safetensors",
    "diffusion_geodesics/reporting/templates/plots.mplstyle",
    "diffusion_geodesics/reporting/templates/report.html.j2",
    "diffusion_geodesics/reporting/templates/style.css",
)
NOT_IN_SDIST = (".ci/", ".gitignore")
CLEAN = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command in an environment that knows nothing of the checkout."""
    print("$", *command, flush=True)
    environment = {k: v for k, v in os.environ.items() if k not in CLEAN}
    subprocess.run([str(c) for c in command], cwd=cwd, env=environment, check=True)


def build(folder: Path) -> tuple[Path, Path]:
    """The source archive, and the wheel that was made from it."""
    for old in (*folder.glob("*.whl"), *folder.glob("*.tar.gz")):
        old.unlink()
    run(sys.executable, "-m", "build", "--outdir", folder, cwd=ROOT)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=ROOT)
    return sdist, wheel


def faults_of_wheel(wheel: Path) -> list[str]:
    """What is wrong with a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    faults = [f"{wheel.name} lacks {name}" for name in IN_WHEEL if name not in names]
    size = wheel.stat().st_size
    if size > LARGEST_WHEEL:
        faults.append(f"{wheel.name} has {size / 1e6:.1f} MB; at most {LARGEST_WHEEL / 1e6:g}")
    tops = {name.split("/")[0] for name in names}
    if strange := sorted(t for t in tops if not t.startswith("diffusion_geodesics")):
        faults.append(f"{wheel.name} holds {', '.join(strange)} beside the package")
    return faults


def faults_of_sdist(sdist: Path, tracked: Sequence[str]) -> list[str]:
    """Which of the repository's files a source archive lacks, and which it has too many."""
    with tarfile.open(sdist) as archive:
        names = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
    wanted = {name for name in tracked if not name.startswith(NOT_IN_SDIST)}
    files = {n for n in names if not any(other.startswith(f"{n}/") for other in names)}
    extra = files - wanted - {"PKG-INFO", ".gitignore"}
    return [f"{sdist.name} lacks {n}" for n in sorted(wanted - names)] + [
        f"{sdist.name} has {n}, which is not in the repository" for n in sorted(extra)
    ]


def try_outside(wheel: Path, constraints: Path | None) -> None:
    """Install a wheel into a fresh environment in a new folder and use it there."""
    with tempfile.TemporaryDirectory(prefix="geodesic-release-") as name:
        place = Path(name)
        venv.create(place / "venv", with_pip=True)
        programs = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
        pinned = [] if constraints is None else ["-c", constraints]
        pip = (programs / "python", "-m", "pip", "install", "--quiet")
        run(*pip, *pinned, wheel, cwd=place)
        run(programs / "geodesic", "doctor", cwd=place)
        run(programs / "geodesic", "demo", "--frames", "5", cwd=place)
        written = place / "geodesic-demo"
        for file in ("report.html", "morph.mp4", "strip.png", "frames/004.png", "result.json"):
            if not (written / file).is_file():
                raise SystemExit(f"geodesic demo did not write {file}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="for what is built")
    parser.add_argument("--latest", action="store_true", help="dependencies without constraints")
    options = parser.parse_args()
    folder = options.folder.resolve()
    sdist, wheel = build(folder)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    faults = faults_of_wheel(wheel) + faults_of_sdist(sdist, listed.stdout.splitlines())
    if faults:
        raise SystemExit("\n".join(faults))
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
    print(f"{sdist.name}: {sdist.stat().st_size / 1e6:.2f} MB, complete", flush=True)
    try_outside(wheel, None if options.latest else ROOT / "constraints.txt")
    print("ready to be released")


if __name__ == "__main__":
    main()
