"""The correspondences that a film followed, as lines between its pictures."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any

from diffusion_geodesics.web.templates import render

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from diffusion_geodesics.correspondence import Matches
    from diffusion_geodesics.interpolation.result import InterpolationResult, Segment

ACROSS = 8
"""Lines along the shorter edge."""
GAP = 0.12
"""Between the two pictures, as a fraction of one's width."""
HEIGHT = 320
"""Of the pictures that are shown, in pixels."""


def matches_html(result: InterpolationResult) -> str:
    """Every pair of neighbouring pictures with lines between corresponding places."""
    pairs = [_pair(result, s, s.matches) for s in result.segments if s.matches is not None]
    return render("matches", pairs=pairs)


def lines(
    displacement: Float[Tensor, "height width 2"], height: int, width: int
) -> list[tuple[float, float, float, float]]:
    """Corresponding places (x, y) in the first and (x, y) in the second picture, in pixels.

    Those that lie outside a picture are left out.
    """
    rows, columns = displacement.shape[:2]
    short = min(height, width)
    step = max(1, round(min(rows, columns) / ACROSS))
    found = []
    for row in range(step // 2, rows, step):
        for column in range(step // 2, columns, step):
            vx, vy = (float(v) * short / 2 for v in displacement[row, column])
            x, y = (column + 0.5) * width / columns, (row + 0.5) * height / rows
            ends = (x - vx, y - vy, x + vx, y + vy)
            if all(0 <= at <= edge for at, edge in zip(ends, (width, height) * 2, strict=True)):
                found.append(ends)
    return found


def _pair(result: InterpolationResult, segment: Segment, matches: Matches) -> dict[str, Any]:
    from diffusion_geodesics.reporting.embedded import embedded_image

    images = result.pictures.images.float().cpu().clamp(0, 1)
    height, width = result.pictures.size
    whole = round(width * (2 + GAP))
    return {
        "first": segment.first + 1,
        "last": segment.last + 1,
        "left": embedded_image(images[segment.first], HEIGHT),
        "right": embedded_image(images[segment.last], HEIGHT),
        "width": whole,
        "height": height,
        "side": width,
        "dot": f"{height / 90:.2f}",
        "moved": f"{100 * matches.moved:.1f}%",
        "lines": [
            {
                "x1": f"{x1:.1f}",
                "y1": f"{y1:.1f}",
                "x2": f"{x2 + whole - width:.1f}",
                "y2": f"{y2:.1f}",
                "colour": _colour(x1 / width, y1 / height),
            }
            for x1, y1, x2, y2 in lines(matches.displacement.cpu(), height, width)
        ],
    }


def _colour(x: float, y: float) -> str:
    """A colour for a place, so that the two ends of a line can be told from their neighbours'."""
    red, green, blue = colorsys.hls_to_rgb(0.8 * x, 0.4 + 0.25 * y, 0.9)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
