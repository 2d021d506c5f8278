"""The report: one HTML page that needs no other file and no network."""

from __future__ import annotations

from pathlib import Path

from diffusion_geodesics.report.data import Run
from diffusion_geodesics.report.page import data_uri, flat_settings, render_page, small_png
from diffusion_geodesics.report.plots import convergence_plot, density_plot, typicality_plot

_MEDIA = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


def render_html(run: Run, *, strip: Path, comparison: Path | None, video: Path) -> str:
    """The report as HTML text. All text of the run is escaped; all media are inside.

    Arguments:
        run: what to report.
        strip: a PNG file with the film strip of the path.
        comparison: a PNG file with the strips of all paths, where there are several.
        video: a file that `Video.write` wrote.
    """
    drawable = [c for c in run.curves if c.norm is not None or c.noise_energy is not None]
    return render_page(
        "report.html.j2",
        run=run,
        first=data_uri(small_png(run.first), "image/png"),
        last=data_uri(small_png(run.last), "image/png"),
        strip=data_uri(strip.read_bytes(), "image/png"),
        comparison=comparison and data_uri(comparison.read_bytes(), "image/png"),
        video=data_uri(video.read_bytes(), _MEDIA[video.suffix]),
        is_video=_MEDIA[video.suffix].startswith("video/"),
        paths=[film.name for film in run.films],
        density=density_plot(run.curves, run.reference) if run.curves else None,
        typicality=typicality_plot(run.curves, run.typical) if drawable else None,
        convergence=convergence_plot(run.convergence) if run.convergence else None,
        total=tuple(
            sum(getattr(stage, column) for stage in run.cost)
            for column in ("rows", "calls", "seconds")
        ),
        settings=list(flat_settings(run.settings)),
    )
