"""Make the pictures of docs/gallery.md with the commands that the page shows: ``make gallery``.

Runs go to runs/gallery; what is there is used again unless --anew is given.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[1]
PAGE, IMAGES, RUNS = (
    ROOT / "docs" / "gallery.md",
    ROOT / "docs" / "images",
    ROOT / "runs" / "gallery",
)
SHELL = re.compile(r"```sh\n((?:geodesic|python) .*?)```", re.DOTALL)
WIDTH = 1200  # pixels, of the widest picture


def mask(path: Path) -> None:
    """White where the face of the first portrait is, black elsewhere."""
    picture = Image.new("L", Image.open(ROOT / "examples" / "portrait_a.png").size, 0)
    w, h = picture.size
    ImageDraw.Draw(picture).ellipse((0.2 * w, 0.3 * h, 0.75 * w, 0.85 * h), fill=255)
    picture.save(path)


def run(command: str, *, anew: bool) -> None:
    """Run a command of the page unless its folder is there."""
    words = command.replace("\\\n", " ").split()
    folder = RUNS / words[words.index("-o") + 1]
    if anew and folder.exists():
        shutil.rmtree(folder)
    if folder.exists():
        return
    program = ["-m", "diffusion_geodesics"] if words[0] == "geodesic" else []
    subprocess.run([sys.executable, *program, *words[1:]], cwd=RUNS, check=True)


def strip(source: str, name: str, *, rows: int = 1) -> None:
    """A strip of frames as a page can show it, cut into rows."""
    picture = Image.open(min(RUNS.glob(source))).convert("RGB")
    if rows > 1:
        frames = [
            Image.open(f).convert("RGB")
            for f in sorted((RUNS / source).parent.glob("frames/*.png"))
        ]
        columns, (w, h) = -(-len(frames) // rows), frames[0].size
        picture = Image.new("RGB", (columns * w, rows * h), "white")
        for i, frame in enumerate(frames):
            picture.paste(frame, (i % columns * w, i // columns * h))
    picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    picture.save(IMAGES / f"{name}.webp", quality=85)


def plot(report: str, label: str, name: str) -> None:
    """The plot of a report whose description begins with a text, as a file of its own."""
    text = (RUNS / report).read_text(encoding="utf-8")
    found = re.search(rf'<svg role="img" aria-label="{label}.*?</svg>', text, re.DOTALL)
    if found is None:
        raise SystemExit(f"{report} has no plot described as {label!r}")
    svg = found[0].replace("<svg ", '<svg style="background: white" ', 1)
    (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")


def main(arguments: list[str]) -> None:
    RUNS.mkdir(parents=True, exist_ok=True)
    (RUNS / "examples").unlink(missing_ok=True)
    (RUNS / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    mask(RUNS / "mask.png")
    for block in SHELL.findall(PAGE.read_text(encoding="utf-8")):
        run(block.strip(), anew="--anew" in arguments)
    strip("morph/strip.png", "gallery-morph")
    strip("loop/strip.png", "gallery-loop", rows=4)
    strip("mask/strip.png", "gallery-mask")
    strip("ray/strip.png", "gallery-ray")
    strip("clip/strips/*.png", "gallery-clip")
    plot("distance/report.html", "Images in the plane", "gallery-distance")


if __name__ == "__main__":
    main(sys.argv[1:])
