"""A run that never ran: invented but plausible data to write reports from.

`python -m tests.report.sample FOLDER` writes its report, to look at.
"""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor

from diffusion_geodesics.report import (
    Convergence,
    Curve,
    Fact,
    Film,
    Run,
    StageCost,
    Video,
    write_run,
)


def disc(t: Tensor, height: int, width: int, drift: float) -> Tensor:
    """Frames (n, 3, height, width): a disc that moves, grows and changes colour with t."""
    t = t[:, None, None]
    y = torch.linspace(-1, 1, height)[None, :, None]
    x = torch.linspace(-1, 1, width)[None, None, :]
    distance = ((x - 0.6 * (t - 0.5)) ** 2 + (y - drift * torch.sin(math.pi * t)) ** 2).sqrt()
    inside = torch.sigmoid(40 * (0.35 + 0.2 * t - distance))
    colour = torch.stack((0.95 - 0.7 * t, 0.45 + 0.2 * t, 0.2 + 0.7 * t), 1)
    ground = torch.stack((0.16 + 0 * t, 0.18 + 0 * t, 0.25 + 0.2 * t), 1)
    return inside[:, None] * colour + (1 - inside[:, None]) * ground


def sample_run(
    n: int = 17,
    height: int = 128,
    width: int = 128,
    *,
    title: str = "portrait_a to portrait_b",
    prompt: str = "a portrait of a man with brown hair",
    video: Video | None = None,
) -> Run:
    """A run with n frames of the given size and every optional part present."""
    t, fine = torch.linspace(0, 1, n), torch.linspace(0, 1, 65)
    bump = torch.sin(math.pi * fine)
    depth = {"geodesic": 4.0, "slerp": -3.0, "lerp": -24.0}
    curves = tuple(
        Curve(
            name,
            fine,
            log_density=d * bump + 6 * (0.5 - fine) + 0.6 * torch.sin(9 * fine) * bump,
            norm=31.8 - fine + (0.1 * d if d < -10 else 0.02 * d) * bump,
            noise_energy=1 + (0.012 if d < -10 else -0.01) * d * bump,
        )
        for name, d in depth.items()
    )
    films = tuple(
        Film(name, disc(t, height, width, drift), t)
        for name, drift in {"geodesic": -0.25, "slerp": 0.0, "lerp": 0.1}.items()
    )
    steps = torch.arange(24)
    return Run(
        title=title,
        first=disc(torch.zeros(1), 300, 240, 0.0)[0],
        last=disc(torch.ones(1), 240, 300, 0.0)[0],
        films=films,
        curves=curves,
        result={"result": "converged", "residual": 7.4e-4, "distance": math.inf},
        tensors={"nodes": torch.randn(33, 1024), "t": torch.linspace(0, 1, 33)},
        status="Converged: the residual 7.4e-4 is below the tolerance 1e-3.",
        facts=(
            Fact("Length of the geodesic", "29.41", "± 0.03, relative to the two ends"),
            Fact("Shorter than slerp by", "3.1 %", "30.35"),
            Fact("Shorter than lerp by", "11.8 %", "33.35"),
            Fact("Denoiser evaluations", "1,262", "of which 412 for the solver"),
            Fact("Ends as reproduced", "33.1 / 32.4 dB", "PSNR against the images given"),
        ),
        warnings=(
            "The noise energy drops to 0.95 in the middle of the path: it is smoother there "
            "than the model expects.",
            "The second image was cropped from 300×240 to 240×240 pixels.",
        ),
        convergence=Convergence(
            residual=0.9 * torch.exp(-0.31 * steps),
            length=29.41 + 3 * torch.exp(-0.5 * steps),
            nodes=torch.where(steps < 9, 16, 32),
            tolerance=1e-3,
        ),
        typical=(0.9, 1.1),
        cost=(
            StageCost("inversion", 100, 50, 6.1),
            StageCost("solving", 412, 16, 11.8),
            StageCost("decoding", 750, 50, 14.9),
        ),
        settings={
            "alpha": 1 / 1024,
            "prompt": prompt,
            "noise_level": 0.4,
            "video": {"fps": 10, "hold": 5},
            "seed": None,
        },
        versions={"diffusion-geodesics": "0.1.0", "torch": "2.13.0", "diffusers": "0.42.1"},
        video=video or Video(),
    )


if __name__ == "__main__":
    print(write_run(sys.argv[1], sample_run(), overwrite=True))
