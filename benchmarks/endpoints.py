"""Which inversion keeps the ends? PSNR after encoding, inverting, sampling and decoding an image.

For every method: network rows and calls an image, PSNR to the image, what is lost against the
autoencoder alone, and PSNR between the decoded frame half-way along slerp and the same frame with
200 steps of second order, which says what fewer steps do to the film in between.

    python -m benchmarks.endpoints --images 4 --write benchmarks/results
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.commit import commit
from diffusion_geodesics import load_model
from diffusion_geodesics.diffusion import (
    DDIM,
    LMS,
    Codec,
    Condition,
    Denoiser,
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
from diffusion_geodesics.path import GreatArc
from training.bank import held_out
from training.portraits import render

PHOTOS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "pairs"
STREAM = 11


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


@dataclass(frozen=True)
class Row:
    """What a method did on one set of images: means over them."""

    images: str
    name: str
    inverting: float
    sampling: float
    calls: int
    trained: float
    ends: float
    lost: float
    middle: float
    seconds: float


METHODS = (
    Method(DDIM(), 50, 0),
    Method(DDIM(), 50),
    Method(DDIM(), 25),
    Method(Heun(), 15),
    Method(LMS(), 25),
    Method(LMS(2), 25),
    Method(LMS(), 15),
    Method(DPMSolver(), 25),
    Method(LMS(), 25, text=TextInversion(steps=60)),
    Method(LMS(), 25, guidance=3.0),
    Method(LMS(), 25, text=TextInversion(steps=60), guidance=3.0),
)


def run(
    images: tuple[str, Tensor],
    parts: tuple[Codec, Denoiser, Condition, Condition],
    method: Method,
    level: float,
    reference: Tensor,
) -> Row:
    """One method on one set of images."""
    codec, denoiser, condition, null = parts
    started = time.perf_counter()
    name, pixels = images
    clean = codec.encode(pixels).double()
    alone = psnr(codec.decode(clean).float(), pixels)
    trained, given = 0, condition.expand(len(pixels))
    if method.text is not None:
        found, cost, _ = invert_text(denoiser, clean, condition, method.text)
        given, trained = Condition.stack(found), cost.rows
    walk = {"steps": method.steps, "level": level, "sampler": method.sampler}
    x, up = invert(denoiser, clean, given, refinements=method.refinements, **walk)  # type: ignore[arg-type]
    back, down = sample(denoiser, x, given, negative=null, guidance=method.guidance, **walk)  # type: ignore[arg-type]
    ends = psnr(codec.decode(back).float(), pixels)
    film = middle(codec, denoiser, x, given, walk)
    return Row(
        name,
        method.name,
        up.rows / len(pixels),
        down.rows / len(pixels),
        up.calls + down.calls,
        trained / len(pixels),
        float(ends.mean()),
        float((alone - ends).max()),
        float(psnr(film, reference).mean()),
        time.perf_counter() - started,
    )


def middle(codec: Codec, denoiser: Denoiser, x: Tensor, given: Condition, walk: dict) -> Tensor:
    """Frames half-way along slerp between neighbouring images."""
    half = torch.tensor([0.5], dtype=torch.float64)
    pairs = [GreatArc(x[k], x[k + 1])(half) for k in range(0, len(x) - 1, 2)]
    between = given.take(torch.arange(0, 2 * len(pairs), 2))
    clean, _ = sample(denoiser, torch.cat(pairs), between, **walk)
    return codec.decode(clean).float()


def portraits(count: int, size: int) -> Tensor:
    """Rendered heads that the model was not trained on."""
    return render(held_out(count, STREAM), size).clamp(0, 1)


def photographs(count: int, size: int) -> Tensor | None:
    """Photographs, where there are any beside the repository."""
    files = [f for f in sorted(PHOTOS.glob("*")) if f.suffix in (".png", ".jpg")][:count]
    if len(files) < 2:
        return None
    return torch.stack([fit(load_image(f), size, size, CentreCrop()).image for f in files])


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| images | method | rows an image, inverting | sampling | training | calls | PSNR, dB "
        "| lost at worst, dB | middle frame, dB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        lines.append(
            f"| {r.images} | {r.name} | {r.inverting:.0f} | {r.sampling:.0f} | {r.trained:.0f} "
            f"| {r.calls} | {r.ends:.2f} | {r.lost:+.2f} | {r.middle:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoints")
    parser.add_argument("--images", type=int, default=4, help="of each kind")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--level", type=float, default=0.4)
    parser.add_argument("--prompt", default="a portrait", help="what both kinds are said to show")
    parser.add_argument("--write", type=Path, help="folder for endpoints.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.model)
    size = model.native_size
    given, null = model.encode_prompt(options.prompt), model.encode_prompt("")
    parts = (model.codec(size, size), model.denoiser(size, size), given, null)
    sets = [("portraits", portraits(options.images, size))]
    photos = photographs(options.images, size)
    if photos is not None:
        sets.append(("photographs", photos))
    rows: list[Row] = []
    for images in sets:
        walk = {"steps": 100, "level": options.level, "sampler": LMS(2)}
        clean = parts[0].encode(images[1]).double()
        given = parts[2].expand(len(images[1]))
        x, _ = invert(parts[1], clean, given, refinements=2, **walk)  # type: ignore[arg-type]
        reference = middle(parts[0], parts[1], x, given, walk)
        for method in METHODS:
            rows.append(run(images, parts, method, options.level, reference))
            print(rows[-1], flush=True)
    page = table(rows)
    print(page)
    if options.write:
        about = (
            "# Endpoints, measured\n\n"
            f"Made by `python -m benchmarks.endpoints --images {options.images}` at commit "
            f"{commit()}, noise level {options.level:g}, model {model.id}, prompt "
            f'"{options.prompt}". *Middle frame*: PSNR of '
            "the frame half-way along slerp to the same with 100 steps of LMS.\n\n"
        )
        options.write.mkdir(parents=True, exist_ok=True)
        (options.write / "endpoints.md").write_text(about + page, encoding="utf-8")


if __name__ == "__main__":
    main()
