"""Pictures, video, HTML and one folder from plain data. Knows nothing about models.

A `Run` holds everything there is to tell; `write_run` writes it. The parts (`film_strip`,
`compare_strip`, `density_plot`, `Video`, `render_html` ...) serve alone as well. Colours are RGB in
[0, 1]; pictures are Pillow images, plots are SVG text.
"""

from diffusion_geodesics.report.data import Convergence, Curve, Fact, Film, Run, StageCost
from diffusion_geodesics.report.folder import check_folder, staged_folder
from diffusion_geodesics.report.html import render_html
from diffusion_geodesics.report.jsonable import to_json
from diffusion_geodesics.report.plots import convergence_plot, density_plot, typicality_plot
from diffusion_geodesics.report.strip import StripLayout, compare_strip, film_strip
from diffusion_geodesics.report.video import Gif, Mp4, Video, VideoFormat, WebM, WebP
from diffusion_geodesics.report.write import Written, write_run

__all__ = [
    "Convergence",
    "Curve",
    "Fact",
    "Film",
    "Gif",
    "Mp4",
    "Run",
    "StageCost",
    "StripLayout",
    "Video",
    "VideoFormat",
    "WebM",
    "WebP",
    "Written",
    "check_folder",
    "compare_strip",
    "convergence_plot",
    "density_plot",
    "film_strip",
    "render_html",
    "staged_folder",
    "to_json",
    "typicality_plot",
    "write_run",
]
