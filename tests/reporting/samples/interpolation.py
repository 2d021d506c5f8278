"""A film over keyframes."""

from __future__ import annotations

import math

import torch

from diffusion_geodesics.reporting.blocks import (
    Fact,
    Facts,
    Film,
    FilmRow,
    Picture,
    Pictures,
    Plot,
    Section,
    Text,
    VideoClip,
    time_captions,
)
from diffusion_geodesics.reporting.playback import (
    LanczosToHeight,
    Loop,
    Playback,
    ThereAndBack,
    Upscaler,
)
from diffusion_geodesics.reporting.plots import (
    Band,
    Level,
    LinePlot,
    Mark,
    Panel,
    Trace,
    convergence_plot,
)
from diffusion_geodesics.reporting.report import Report
from tests.reporting.samples.common import COST, SETTINGS, VERSIONS, curves, disc


def interpolation(
    n: int = 17,
    height: int = 128,
    width: int = 128,
    keyframes: int = 2,
    alpha: bool = False,
    upscale: Upscaler | None = None,
) -> Report:
    """A film over keyframes, with everything that an interpolation shows."""
    t = torch.linspace(0, 1, n)
    keys = torch.linspace(0, 1, keyframes)
    drifts = {"geodesic": -0.25, "slerp": 0.0, "lerp": 0.1}
    films = {name: disc(t, height, width, drift, alpha) for name, drift in drifts.items()}
    density = curves({"geodesic": 4.0, "slerp": -3.0, "lerp": -24.0})
    steps = torch.arange(24)
    images = [
        Picture([disc(k[None], 300, 240, 0.0)[0]], f"image {i + 1}") for i, k in enumerate(keys)
    ]
    rests = [round(float(k) * (n - 1)) for k in keys]
    clip = VideoClip(
        films["geodesic"],
        playback=Playback(
            order=Loop() if keyframes > 2 else ThereAndBack(), upscale=upscale or LanczosToHeight()
        ),
        rests=rests,
        caption="The morph along the geodesic path",
    )
    marks = [Mark(float(k), f"{i + 1}") for i, k in enumerate(keys)][1:-1]
    return Report(
        title="A density geodesic",
        lead="Converged: the residual is below the tolerance (24 iterations, residual 7.4e-04).",
        opening=(Pictures(images[:1]), clip, Pictures(images[1:]))
        if keyframes == 2
        else (clip, Pictures(images)),
        warnings=(
            "The noise energy drops to 0.95 in the middle of the path: it is smoother there "
            "than the model expects.",
            "The second image was cropped from 300×240 to 240×240 pixels.",
        ),
        sections=(
            Section(
                "",
                [
                    Facts(
                        (
                            Fact("Model", "embedded/portraits", "weights 3f2a91c0b7de, on cpu"),
                            Fact("Length", "29.410", "slerp 30.35, lerp 33.35"),
                            Fact(
                                "Distance",
                                "29.41 ± 0.03",
                                "strength α·d = 0.3, α = 0.00029, d = 1024",
                            ),
                            Fact("Log density, lowest", "−2.1 nats", "relative to the first frame"),
                            Fact(
                                "Ends reproduced at",
                                "33.1 and 32.4 dB",
                                "the autoencoder alone: 33.4 and 32.8 dB",
                            ),
                            Fact("Cost", "2,262 NFE", "116 batches, 33.0 s"),
                        )
                    )
                ],
            ),
            Section(
                "Frames",
                [
                    Film(
                        [FilmRow("geodesic", films["geodesic"], time_captions(t))],
                        caption="Every frame along the geodesic path; t runs from the first image "
                        "(0) to the last (1).",
                        file="strip.png",
                    )
                ],
            ),
            Section(
                "Geodesic against slerp and lerp",
                [
                    Film(
                        [FilmRow(name, f, time_captions(t)) for name, f in films.items()],
                        caption="The same positions in each film, decoded in the same way. High "
                        "density does not by itself mean a natural image.",
                        file="comparison.png",
                    )
                ],
            ),
            Section(
                "Density along the path",
                [
                    Plot(
                        LinePlot(
                            [
                                Panel(
                                    "log density relative to the first image, nats",
                                    "t",
                                    [Trace(name, x, y) for name, (x, y) in density.items()],
                                    levels=[Level(0, "first image")],
                                    marks=marks,
                                    limits=(0, 1),
                                )
                            ]
                        ),
                        caption="Log density of the latent at the noise level, relative "
                        "to the first image: −10 is e¹⁰ times less dense. The model gives the "
                        "gradient of log density only, so the curves are its integral along each "
                        "path and their absolute level is unknown.",
                    )
                ],
            ),
            Section(
                "Is the path typical?",
                [
                    Plot(
                        LinePlot(
                            [
                                Panel(
                                    "norm of the latent",
                                    "t",
                                    [Trace(n, x, 31.8 + 0.02 * y) for n, (x, y) in density.items()],
                                ),
                                Panel(
                                    "noise energy σ‖s‖/√d",
                                    "t",
                                    [Trace(n, x, 1 - 0.01 * y) for n, (x, y) in density.items()],
                                    bands=[Band(0.9, 1.1, "typical")],
                                ),
                            ]
                        ),
                        caption="Latents that decode well have norm and noise energy like those "
                        "of the ends: σ is the noise level, s the gradient of log density, d the "
                        "number of dimensions.",
                    )
                ],
            ),
            Section(
                "Convergence",
                [
                    Plot(
                        convergence_plot(
                            0.9 * torch.exp(-0.31 * steps),
                            29.41 + 3 * torch.exp(-0.5 * steps),
                            [16] * 9 + [32] * 15,
                            1e-3,
                        ),
                        caption="The residual says how far the path is from solving the geodesic "
                        "equation, relative to the force that bends it.",
                    )
                ],
            ),
            Section(
                "What the lengths mean",
                [
                    Text(
                        [
                            "Length is measured with a ruler that grows where images are rare: "
                            "each step counts as its Euclidean length times p to the power −α: "
                            "p is the density relative to the first image.",
                            "The method is that of Yu et al., “Probability Density Geodesics in "
                            "Image Diffusion Latent Space”, CVPR 2025 (arXiv 2504.06675).",
                        ]
                    )
                ],
            ),
        ),
        result={"result": "converged", "residual": 7.4e-4, "distance": math.inf},
        tensors={"path.safetensors": {"nodes": torch.randn(33, 1024), "t": t}},
        settings=SETTINGS,
        frames={"frames": films["geodesic"]},
        cost=COST,
        versions=VERSIONS,
    )
