"""The model card, out of the measured figures.

python -m training.card
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from training.bank import RUNS
from training.denoiser import WIDTHS
from training.evaluate import LEVELS, Report
from training.export import EMBEDDED
from training.factors import BACKGROUND, HAIR

FRONT = """\
---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# Cartoon portraits, 128 x 128

A small Stable Diffusion pipeline that comes with diffusion-geodesics, so that every command runs
without a download. It draws cartoon heads and nothing else: a toy to develop, test and teach with,
not an image generator.

```python
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("{folder}")
image = pipeline(
    "a portrait of a smiling person with long red hair looking left blue background",
    guidance_scale=3.0,
).images[0]
```

## What it is

- `AutoencoderKL`: 8 latent channels at 1/8 of the side (16 x 16 for 128 x 128), no attention, so
  any multiple of 8 can be encoded. Latents are standard per channel; the scaling factor is 1.
- `UNet2DConditionModel` {widths}, noise prediction, Stable Diffusion's schedule, 1000 steps.
- `CLIPTextModel` of two layers of width 64, trained with the UNet, and a tokenizer of 32 tokens in
  which every word of the captions is one token.
- Weights in half precision, safetensors; their sha256 sums are in `SHA256SUMS`.

Captions look like `a portrait of a smiling person with long red hair with glasses with a beard
looking left blue shirt green background dark skin`; any phrase may be missing. Moods: smiling, sad,
serious, surprised. Hair: {hair}, or `with no hair`. Backgrounds: {background}. Other words mean
nothing to it.

## Data and training

Trained only on portraits drawn by the project's own renderer (`training/`), which has 26 factors:
no photographs, no real persons, no third-party data or weights.
{data}
The recipe and its commands are in `training/README.md`.
"""

DATA = """\
The autoencoder saw 28,000 portraits and their flips (5,360 steps, 34 minutes), the denoiser 22,500
and their flips (7,091 steps of 32, 67 minutes), on two shared CPU cores."""

BACK = """
## Limits

Heads are centred, within 54 degrees of yaw, lit softly from above. Skin tones, hair and "moods" are
the renderer's parameters and stand for nobody. Small features blur first:
the autoencoder loses some of the iris colour; the two eyes of a sampled face often differ in colour
or gaze, teeth and thin glasses smear. Hair, background, facing, glasses and beard follow the
caption; smiling and sad do not (chance), after so short a training. The noise schedule ends at a
signal share of 0.5 %, not 0. Captions with words or combinations that the renderer never wrote are
not understood.
"""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


ATTRIBUTES = ("hair", "background", "facing", "smile", "glasses", "beard")


def measured(report: dict[str, Report]) -> str:
    """The section of figures."""
    vae, judge, renoised = report["autoencoder"], report["judge"], report["renoising"]
    inversion = report["inversion"]
    parts = [
        "## Measured\n\nOn renders that no training step saw, by `python -m training.evaluate`; "
        "attributes are read off the images by a small network trained on renders (the judge).\n",
        "**Autoencoder**\n",
        table(
            ["PSNR", "latent noise 0.1", "latent noise 0.2", "at 256 x 256", "sharpness"],
            [
                [
                    f"{vae['psnr']:.1f} dB",
                    f"{vae['psnr, latent noise 0.1']:.1f} dB",
                    f"{vae['psnr, latent noise 0.2']:.1f} dB",
                    f"{vae['psnr at 256']:.1f} dB",
                    f"{vae['sharpness ratio']:.2f} of the renders'",
                ]
            ],
        ),
        "**Captions followed** (50 DDIM steps; `facing` is left, forward or right; `smile` its "
        "sign, where the caption says smiling or sad)\n",
    ]
    rows = [["judge on renders", *(percent(judge[f"renders, {a}"]) for a in ATTRIBUTES), "1.00"]]
    for name, part in report.items():
        if name.startswith("guidance"):
            shares = [percent(part[a]) for a in ATTRIBUTES]
            rows.append([name, *shares, f"{part['sharpness ratio']:.2f}"])
    parts.append(table(["", *ATTRIBUTES, "sharpness"], rows))
    parts.append(
        "**Renders noised at random and denoised** (their caption, guidance 1, 7 yaws; the "
        f"autoencoder alone has {renoised['psnr, no noise']:.1f} dB)\n"
    )
    rows = [
        [
            f"{level}",
            f"{renoised[f'level {level}, psnr']:.1f} dB",
            f"{renoised[f'level {level}, sharpness ratio']:.2f}",
            f"{renoised[f'level {level}, yaw error']:.3f} rad",
            *(percent(renoised[f"level {level}, {a}"]) for a in ATTRIBUTES),
        ]
        for level in LEVELS
    ]
    parts.append(table(["level", "PSNR", "sharpness", "yaw error", *ATTRIBUTES], rows))
    parts.append(
        "**DDIM inversion to a level and back** (50 steps, guidance 1): loss against the "
        "autoencoder's own reconstruction\n"
    )
    kinds = sorted({tuple(key.split(", ")[::2]) for key in inversion})
    rows = [
        [*kind, *(f"{inversion[f'{kind[0]}, level {v}, {kind[1]}']:.2f} dB" for v in LEVELS)]
        for kind in kinds
    ]
    parts.append(table(["caption", "inversion", *(f"level {v}" for v in LEVELS)], rows))
    return "\n" + "\n".join(part.rstrip("\n") + "\n" for part in parts)


def card(report: dict[str, Report], data: str, folder: Path) -> str:
    """The card's text."""
    front = FRONT.format(
        folder=folder,
        widths=WIDTHS,
        hair=", ".join(HAIR),
        background=", ".join(BACKGROUND),
        data=data,
    )
    return front + measured(report) + BACK


def main() -> None:
    parser = argparse.ArgumentParser(description="write the model card")
    parser.add_argument("--evaluation", type=Path, default=RUNS / "evaluation/evaluation.json")
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    parser.add_argument("--data", default=DATA, help="a sentence on the amount of training")
    o = parser.parse_args()
    report = json.loads(o.evaluation.read_text(encoding="utf-8"))
    (o.out / "README.md").write_text(card(report, o.data, o.out), encoding="utf-8")


if __name__ == "__main__":
    main()
