"""One kind of report: a page and a folder of files, from plain data.

A job turns its result into a `Report`, which `write` writes into a folder. Nothing here knows about
models or jobs. Colours are in [0, 1].
"""

from diffusion_geodesics.reporting.blocks import (
    Block,
    Cell,
    Fact,
    Facts,
    Film,
    FilmRow,
    Picture,
    Pictures,
    Plot,
    Section,
    Table,
    Text,
    Tone,
    VideoClip,
    time_captions,
)
from diffusion_geodesics.reporting.drawing import Drawing
from diffusion_geodesics.reporting.film_format import FilmFormat
from diffusion_geodesics.reporting.films import FilmFile, film_format, write_films
from diffusion_geodesics.reporting.image_formats import Apng, Gif, PngSequence, WebP
from diffusion_geodesics.reporting.intervals import Interval, IntervalPanel, IntervalPlot
from diffusion_geodesics.reporting.maps import Embedding, HeatMap
from diffusion_geodesics.reporting.playback import Loop, Once, Order, Playback, ThereAndBack
from diffusion_geodesics.reporting.plots import (
    Band,
    Level,
    LinePlot,
    Mark,
    Panel,
    Trace,
    convergence_plot,
)
from diffusion_geodesics.reporting.report import Banner, CostRow, Report, Sheet, file_name
from diffusion_geodesics.reporting.strip import StripLayout, film_strip
from diffusion_geodesics.reporting.tables import interval, latex_table, number
from diffusion_geodesics.reporting.upscaling import Lanczos, LanczosToHeight, Upscaler
from diffusion_geodesics.reporting.video_formats import Av1, Ffv1, Mp4, Mp4FullChroma, ProRes, WebM
from diffusion_geodesics.reporting.writer import Written, write

__all__ = [
    "Apng",
    "Av1",
    "Band",
    "Banner",
    "Block",
    "Cell",
    "CostRow",
    "Drawing",
    "Embedding",
    "Fact",
    "Facts",
    "Ffv1",
    "Film",
    "FilmFile",
    "FilmFormat",
    "FilmRow",
    "Gif",
    "HeatMap",
    "Interval",
    "IntervalPanel",
    "IntervalPlot",
    "Lanczos",
    "LanczosToHeight",
    "Level",
    "LinePlot",
    "Loop",
    "Mark",
    "Mp4",
    "Mp4FullChroma",
    "Once",
    "Order",
    "Panel",
    "Picture",
    "Pictures",
    "Playback",
    "Plot",
    "PngSequence",
    "ProRes",
    "Report",
    "Section",
    "Sheet",
    "StripLayout",
    "Table",
    "Text",
    "ThereAndBack",
    "Tone",
    "Trace",
    "Upscaler",
    "VideoClip",
    "WebM",
    "WebP",
    "Written",
    "convergence_plot",
    "file_name",
    "film_format",
    "film_strip",
    "interval",
    "latex_table",
    "number",
    "time_captions",
    "write",
    "write_films",
]
