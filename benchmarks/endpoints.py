"""Which inversion keeps the ends? PSNR after encoding, inverting, sampling and decoding an image.

For every method: network evaluations (NFE) and calls an image, PSNR to the image, what is lost
against the autoencoder alone, and PSNR between the decoded frame half-way along slerp and the same
frame with 100 steps of LMS, which says what fewer steps do to the film in between.

    python -m benchmarks.endpoints --images 4 --write benchmarks/results
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cyclopts
import torch
from torch import Tensor

from benchmarks.record import ROOT, commit, table, write_page
from diffusion_geodesics import load_model
from diffusion_geodesics.diffusion import (
    DDIM,
    LMS,
    Condition,
    DPMSolver,
    Heun,
    Sampler,
    TextInversion,
    invert,
    invert_text,
    sample,
)
from diffusion_geodesics.framing import CentreCrop, fit
from diffusion_geodesics.images import load_image, psnr
from diffusion_geodesics.latents.encode import ModelParts
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.runtime.cost import Counts
from diffusion_geodesics.runtime.run import Run
from training.bank import held_out
from training.portraits import render

PHOTOS = ROOT.parent / "shared" / "data" / "pairs"
STREAM = 11
TEXT = TextInversion(steps=60)


@dataclass(frozen=True)
class Method:
    """A sampler on a grid, with so many refinements; perhaps with optimised embeddings."""

    sampler: Sampler
    steps: int
    refinements: int = 2
    text: TextInversion | None = None
    guidance: float = 1.0

    @property
    def name(self) -> str:
        """As it is called in the table."""
        text = "" if self.text is None else f", text inversion {self.text.steps}"
        guided = "" if self.guidance == 1 else f", guidance {self.guidance:g} at the ends"
        return f"{self.sampler}, {self.steps} steps, {self.refinements} refinements{text}{guided}"


METHODS = (
    Method(DDIM(), 50, 0),
    Method(DDIM(), 50),
    Method(DDIM(), 25),
    Method(Heun(), 15),
    Method(LMS(), 25),
    Method(LMS(2), 25),
    Method(LMS(), 15),
    Method(DPMSolver(), 25),
    Method(LMS(), 25, text=TEXT),
    Method(LMS(), 25, guidance=3.0),
    Method(LMS(), 25, text=TEXT, guidance=3.0),
)
REFERENCE = Method(LMS(2), 100)
"""What the frame half-way is compared with."""


class Bench:
    """A model for images of its own size, and a noise level."""

    def __init__(self, model: DiffusionModel, prompt: str, level: float):
        self.run, size = Run(), model.native_size
        self.parts = ModelParts.of(self.run, model, (size, size))
        self.given, self.null = model.encode_prompt(prompt), model.encode_prompt("")
        self.level = level

    def up(self, clean: Tensor, given: Condition, method: Method) -> Tensor:
        """Clean latents at the noise level."""
        walk = {"steps": method.steps, "sampler": method.sampler, "level": self.level}
        return invert(self.parts.denoiser, clean, given, refinements=method.refinements, **walk)

    def down(self, x: Tensor, given: Condition, method: Method, guidance: float) -> Tensor:
        """Latents at the noise level as images."""
        walk = {"steps": method.steps, "sampler": method.sampler, "level": self.level}
        guide = {"negative": self.null, "guidance": guidance}
        return self.parts.codec.decode(
            sample(self.parts.denoiser, x, given, **walk, **guide)
        ).float()

    def middle(self, x: Tensor, given: Condition, method: Method) -> Tensor:
        """Frames half-way along slerp between neighbouring images."""
        half = torch.tensor([0.5], dtype=torch.float64)
        firsts = torch.arange(0, len(x) - 1, 2)
        between = torch.cat([GreatArc(x[k], x[k + 1])(half) for k in firsts])
        return self.down(between, given.take(firsts), method, 1.0)

    def reference(self, pixels: Tensor) -> Tensor:
        """The frames half-way, by `REFERENCE`."""
        given = self.given.expand(len(pixels))
        x = self.up(self.parts.codec.encode(pixels).double(), given, REFERENCE)
        return self.middle(x, given, REFERENCE)

    def row(self, name: str, pixels: Tensor, method: Method, reference: Tensor) -> list[str]:
        """One method on one set of images, as a row of the table."""
        codec, count = self.parts.codec, len(pixels)
        clean = codec.encode(pixels).double()
        alone = psnr(codec.decode(clean).float(), pixels)
        costs, given = [self.run.meter.read()], self.given.expand(count)
        if method.text is not None:
            found = invert_text(self.parts.denoiser, clean, self.given, method.text)
            given = Condition.stack(found)
        costs.append(self.run.meter.read())
        x = self.up(clean, given, method)
        costs.append(self.run.meter.read())
        ends = psnr(self.down(x, given, method, method.guidance), pixels)
        costs.append(self.run.meter.read())
        trained, up, down = (b - a for a, b in pairwise(costs))
        middle = psnr(self.middle(x, given, method), reference)

        def each(counts: Counts) -> str:
            return f"{counts.nfe / count:.0f}"

        lost = float((alone - ends).max())
        return [
            name, method.name, each(up), each(down), each(trained), str(up.batches + down.batches),
            f"{float(ends.mean()):.2f}", f"{lost:+.2f}", f"{float(middle.mean()):.1f}",
        ]  # fmt: skip


def portraits(count: int, size: int) -> Tensor:
    """Rendered heads that the model was not trained on."""
    return render(held_out(count, STREAM), size).clamp(0, 1)


def photographs(count: int, size: int) -> Tensor | None:
    """Photographs, where there are any beside the repository."""
    files = [f for f in sorted(PHOTOS.glob("*")) if f.suffix in (".png", ".jpg")][:count]
    if len(files) < 2:
        return None
    return torch.stack([fit(load_image(f), size, size, CentreCrop()).image for f in files])


HEAD = (
    "images", "method", "NFE an image, inverting", "sampling", "training", "calls", "PSNR, dB",
    "lost at worst, dB", "middle frame, dB",
)  # fmt: skip


def main(
    *,
    images: int = 4,
    model: str = "embedded",
    level: float = 0.4,
    prompt: str = "a portrait",
    only: int = len(METHODS),
    write: Path | None = None,
) -> None:
    """Measure how well ends are kept.

    Args:
        images: of each kind.
        model: name or folder.
        level: of noise.
        prompt: what both kinds are said to show.
        only: the first so many methods.
        write: folder for endpoints.md.
    """
    torch.set_num_threads(1)
    loaded = load_model(model)
    bench, size = Bench(loaded, prompt, level), loaded.native_size
    sets = {"portraits": portraits(images, size), "photographs": photographs(images, size)}
    rows = []
    for name, pixels in sets.items():
        if pixels is None:
            continue
        reference = bench.reference(pixels)
        for method in METHODS[:only]:
            rows.append(bench.row(name, pixels, method, reference))
            print(rows[-1], flush=True)
    head = (
        "Endpoints, measured\n\n"
        f"Made by `python -m benchmarks.endpoints --images {images}` at commit {commit()}, noise "
        f'level {level:g}, model {loaded.id}, prompt "{prompt}". *Middle frame*: PSNR of the frame '
        "half-way along slerp to the same with 100 steps of LMS."
    )
    write_page(write, "endpoints", head, table(HEAD, rows, words=2))


if __name__ == "__main__":
    cyclopts.run(main)
