"""A matrix of distances."""

from __future__ import annotations

from dataclasses import replace

import torch

from diffusion_geodesics.reporting.blocks import Fact, Facts, Picture, Pictures, Plot, Section
from diffusion_geodesics.reporting.maps import Embedding, HeatMap
from diffusion_geodesics.reporting.report import Report, Sheet
from diffusion_geodesics.runtime.cost import CostBreakdown
from tests.reporting.samples.common import COST, SETTINGS, VERSIONS, disc


def distances(n: int = 8, size: int = 64) -> Report:
    """A matrix of distances."""
    random = torch.Generator().manual_seed(0)
    t = torch.rand(n, generator=random)
    images = disc(t, size, size, 0.1)
    positions = torch.stack([t, 0.3 * torch.rand(n, generator=random)], 1) * 10
    values = torch.cdist(positions, positions)
    values[0, 3] = values[3, 0] = torch.nan
    names = [f"portrait_{i}" for i in range(n)]

    def nearest(i: int) -> Picture:
        row = values[i].nan_to_num(torch.inf).clone()
        row[i] = torch.inf
        j = int(row.argmin())
        caption = f"{names[i]} → {names[j]}, {row[j]:.4g} ± 0.01"
        return Picture([images[i], images[j]], caption, f"{names[i]} and {names[j]}")

    return Report(
        title=f"Geodesic distances of {n} images",
        lead="27 of 28 pairs solved; worst residual 9.1e-04",
        warnings=("No geodesic was found for 1 of 28 pairs (portrait_0 and portrait_3).",),
        sections=(
            Section(
                "",
                [
                    Facts(
                        [
                            Fact("Error bars", "up to 0.4%", "quadrature"),
                            Fact("Cost", "9,120 NFE", "326 a pair"),
                        ]
                    )
                ],
            ),
            Section(
                "In the plane",
                [
                    Plot(
                        Embedding(positions, list(images)),
                        caption="Classical scaling: the plane that keeps the distances best.",
                        file="embedding.svg",
                    )
                ],
            ),
            Section(
                "All distances",
                [
                    Plot(
                        HeatMap(values, names),
                        caption="Every pair once above and once below the diagonal.",
                        file="heatmap.svg",
                    )
                ],
            ),
            Section("Nearest neighbours", [Pictures([nearest(i) for i in range(n)])]),
        ),
        result={"distances": values},
        tensors={"distances.safetensors": {"distances": values}},
        sheets={
            "distances.csv": Sheet(
                ["a", "b", "distance", "error"],
                [
                    [names[i], names[j], float(values[i, j]), 0.01]
                    for i in range(n)
                    for j in range(i)
                ],
            )
        },
        settings=SETTINGS,
        cost=CostBreakdown(tuple((name, replace(c, tflop=0.0)) for name, c in COST.stages)),
        versions=VERSIONS,
    )
