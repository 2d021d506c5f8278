"""What the exported model can do, measured on held-out portraits, with contact sheets to look at.

    python -m training.evaluate

writes `evaluation.json` and sheets as PNG. The figures go into the model card (`training.card`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from training.autoencoder import psnr
from training.bank import RUNS, held_out, to_bytes
from training.export import EMBEDDED
from training.factors import caption, concatenate, phrases
from training.portraits import render
from training.regressor import Regressor, agreement
from training.regressor import load as load_regressor
from training.sampling import Sampler

LEVELS = (0.3, 0.45, 0.6)
YAWS = (-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9)

Report = dict[str, float]


def sheet(rows: list[Tensor], path: Path) -> None:
    """Rows of images in [-1, 1] as one PNG."""
    image = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    pixels = to_bytes((image.clamp(-1, 1) + 1) / 2).transpose(1, 2, 0)
    Image.fromarray(pixels).save(path)


def sharpness(images: Tensor) -> float:
    """Mean absolute difference of neighbouring pixels."""
    return (images.diff(dim=2).abs().mean() + images.diff(dim=3).abs().mean()).item() / 2


def reconstruction(sampler: Sampler, n: int, folder: Path) -> Report:
    """The autoencoder alone: as it is, with noise on the latent, and at twice the size."""
    factors = held_out(n, 1)
    x = render(factors) * 2 - 1
    z = sampler.encode(x)
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    y = sampler.decode(z)
    large = render(factors.select(slice(8)), 256) * 2 - 1
    sheet([x[:12], y[:12]], folder / "autoencoder.png")
    return {
        "psnr": psnr(y, x),
        "psnr, latent noise 0.1": psnr(sampler.decode(z + 0.1 * noise), x),
        "psnr, latent noise 0.2": psnr(sampler.decode(z + 0.2 * noise), x),
        "psnr at 256": psnr(sampler.decode(sampler.encode(large)), large),
        "sharpness ratio": sharpness(y) / sharpness(x),
        "latent mean": z.mean().item(),
        "latent std": z.std().item(),
    }


def inversion(sampler: Sampler, n: int) -> Report:
    """Loss in dB against the autoencoder's reconstruction, after going up to a level and back."""
    factors = held_out(n, 2)
    x = render(factors) * 2 - 1
    z = sampler.encode(x)
    base = psnr(sampler.decode(z), x)
    told = sampler.states([caption(p) for p in phrases(factors)])
    report: Report = {}
    for name, states in (("captioned", told), ("bare", sampler.states([""] * n))):
        for level in LEVELS:
            for corrections in (0, 2):
                up = sampler.invert(z, level, states, corrections)
                back = sampler.decode(sampler.denoise(up, level, states))
                how = "plain" if corrections == 0 else f"{corrections} corrections"
                report[f"{name}, level {level}, {how}"] = base - psnr(back, x)
    return report


def following(sampler: Sampler, judge: Regressor, n: int, guidance: float, folder: Path) -> Report:
    """Agreement of sampled faces with their captions, and their sharpness against renders."""
    factors = held_out(n, 3)
    captions = [caption(p) for p in phrases(factors)]
    g = torch.Generator().manual_seed(3)
    images = sampler.sample(captions, guidance, g)
    rows = list(images[:48].split(12))
    sheet(rows, folder / f"samples_{guidance:g}.png")
    report = agreement(judge.read(images), factors)
    report["sharpness ratio"] = sharpness(images) / sharpness(render(factors) * 2 - 1)
    return report


def renoising(sampler: Sampler, judge: Regressor, n: int, folder: Path) -> Report:
    """Renders at every yaw, noised at random to a level and denoised with their caption."""
    heads = held_out(n, 4)
    factors = concatenate([heads.replace(yaw=yaw) for yaw in YAWS])
    x = render(factors) * 2 - 1
    z = sampler.encode(x)
    base = sampler.decode(z)
    states = sampler.states([caption(p) for p in phrases(factors)])
    report: Report = {"psnr, no noise": psnr(base, x)}
    first = torch.arange(len(YAWS)) * n
    rows = [x[first], base[first]]
    for level in LEVELS:
        g = torch.Generator().manual_seed(4)
        y = sampler.decode(sampler.denoise(sampler.diffuse(z, level, g), level, states))
        rows.append(y[first])
        report[f"level {level}, psnr"] = psnr(y, x)
        report[f"level {level}, sharpness ratio"] = sharpness(y) / sharpness(x)
        shown = judge.read(y)
        for name, value in agreement(shown, factors).items():
            report[f"level {level}, {name}"] = value
        report[f"level {level}, yaw error"] = (
            (shown.scalars["yaw"] - factors.yaw).abs().mean().item()
        )
    sheet(rows, folder / "renoising.png")
    return report


def judge_itself(judge: Regressor, sampler: Sampler, n: int) -> Report:
    """The judge on renders, and on the autoencoder's reconstructions."""
    factors = held_out(n, 5)
    x = render(factors) * 2 - 1
    report = {f"renders, {k}": v for k, v in agreement(judge.read(x), factors).items()}
    y = sampler.decode(sampler.encode(x))
    report |= {f"reconstructed, {k}": v for k, v in agreement(judge.read(y), factors).items()}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the exported model")
    parser.add_argument("--model", type=Path, default=EMBEDDED)
    parser.add_argument("--regressor", type=Path, default=RUNS / "regressor.safetensors")
    parser.add_argument("--out", type=Path, default=RUNS / "evaluation")
    parser.add_argument("--samples", type=int, default=100, help="per guidance scale")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 2.0, 3.0, 4.0])
    parser.add_argument("--renders", type=int, default=256)
    parser.add_argument("--inversions", type=int, default=32)
    parser.add_argument("--heads", type=int, default=8)
    o = parser.parse_args()
    o.out.mkdir(parents=True, exist_ok=True)
    sampler = Sampler(StableDiffusionPipeline.from_pretrained(o.model))
    judge = load_regressor(o.regressor)
    report: dict[str, Report] = {}

    def tell(name: str, part: Report) -> None:
        report[name] = {key: round(value, 4) for key, value in part.items()}
        print(name, json.dumps(report[name], indent=1), flush=True)
        (o.out / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n")

    tell("autoencoder", reconstruction(sampler, o.renders, o.out))
    tell("judge", judge_itself(judge, sampler, o.renders))
    tell("renoising", renoising(sampler, judge, o.heads, o.out))
    for guidance in o.guidance:
        tell(f"guidance {guidance:g}", following(sampler, judge, o.samples, guidance, o.out))
    tell("inversion", inversion(sampler, o.inversions))


if __name__ == "__main__":
    main()
