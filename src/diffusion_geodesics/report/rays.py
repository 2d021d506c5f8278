"""The folder and the page of a ray: a film that goes on from a start, into the open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.report.analysis_data import Panel, Trace
from diffusion_geodesics.report.analysis_plots import panels_plot
from diffusion_geodesics.report.data import Fact, Film, StageCost, check_colours
from diffusion_geodesics.report.folder import PROGRAM, staged_folder
from diffusion_geodesics.report.jsonable import to_json
from diffusion_geodesics.report.page import data_uri, flat_settings, render_page, small_png
from diffusion_geodesics.report.pixels import to_image
from diffusion_geodesics.report.strip import compare_strip, film_strip
from diffusion_geodesics.report.video import Video
from diffusion_geodesics.report.write import Written


@final
@dataclass(frozen=True, eq=False)
class RayReport:
    """Everything that is written about a ray.

    Arguments:
        title: headline.
        direction: where the ray goes, in words; unit: what a unit of t is.
        starts: the images it comes from, each (3, height, width) in [0, 1]; start_names: of them.
        films: frames of the ray, then of what it is compared with; t scaled to [0, 1].
        captions: one for each frame of the ray.
        density, norm, energy, growth: along the ray and what it is compared with.
        typical: lowest and highest noise energy regarded as typical.
        applied: remedies, in words.
        result: contents of result.json; tensors: of path.safetensors.
        status, facts, warnings, cost, settings, versions, video: as in `Run`.

    Raises:
        ValueError: no film, or an image with colours outside [0, 1].
    """

    title: str
    direction: str
    unit: str
    starts: tuple[Float[Tensor, "3 height width"], ...]
    start_names: tuple[str, ...]
    films: tuple[Film, ...]
    captions: tuple[str, ...]
    density: tuple[Trace, ...]
    norm: tuple[Trace, ...]
    energy: tuple[Trace, ...]
    growth: tuple[Trace, ...]
    typical: tuple[float, float]
    applied: tuple[str, ...]
    result: Mapping[str, object]
    tensors: Mapping[str, Tensor]
    status: str = ""
    facts: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()
    cost: tuple[StageCost, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    video: Video = field(default_factory=Video)

    def __post_init__(self) -> None:
        if not self.films or not self.starts:
            raise ValueError("got no film or no start; a ray has both")
        for image, name in zip(self.starts, self.start_names, strict=True):
            check_colours(image, name)


def write_ray(folder: str | Path, report: RayReport, *, overwrite: bool = False) -> Written:
    """Write a ray into one folder: all of it, or nothing.

    The files are those of `write_run`: result.json, path.safetensors, frames, strip.png,
    comparison.png if there is something to compare, morph.mp4, report.html.

    Raises:
        FileExistsError, NotADirectoryError, ValueError: as `check_folder`.
        TypeError: `report.result` holds something that JSON cannot.
    """
    from safetensors.torch import save

    to_json(report.result)  # complain about what cannot be written before the work is done
    path = report.films[0]
    with staged_folder(folder, overwrite=overwrite) as staging:
        (staging / "frames").mkdir()
        for i, frame in enumerate(path.frames):
            to_image(frame).save(staging / "frames" / f"{i:03d}.png")
        film_strip(path, report.captions).save(staging / "strip.png")
        if len(report.films) > 1:
            compare_strip(report.films).save(staging / "comparison.png")
        videos = report.video.write(path.frames, staging)
        tensors = {name: t.detach().cpu().contiguous() for name, t in report.tensors.items()}
        (staging / "path.safetensors").write_bytes(save(tensors, metadata={"program": PROGRAM}))
        page = render_ray(report, staging, videos[0])
        (staging / "report.html").write_text(page, encoding="utf-8")
        found = (f.relative_to(staging).as_posix() for f in staging.rglob("*") if f.is_file())
        files = sorted({*found, "result.json"})
        text = to_json({**report.result, "program": PROGRAM, "files": files})
        (staging / "result.json").write_text(text, encoding="utf-8")
    return Written(Path(folder).expanduser().resolve(), tuple(files))


def render_ray(report: RayReport, folder: Path, video: Path) -> str:
    """The page as HTML text, all media inside and all text escaped.

    Arguments:
        report: what to tell.
        folder: where strip.png and comparison.png are.
        video: a file that `Video.write` wrote.
    """
    comparison = folder / "comparison.png"
    low, _ = report.typical
    density = panels_plot(
        "Density and growth along the ray",
        [
            Panel("log density, nats", "t", report.density, level=(0.0, "the start")),
            Panel("growth of small errors", "t", report.growth, True, (1.0, "flat space")),
        ],
    )
    typical = panels_plot(
        "Is the ray typical?",
        [
            Panel("norm of the latent", "t", report.norm),
            Panel("noise energy σ‖s‖/√d", "t", report.energy, level=(low, "least typical")),
        ],
    )
    suffix = video.suffix.removeprefix(".")
    kind = "video" if suffix in ("mp4", "webm") else "image"
    return render_page(
        "ray.html.j2",
        report=report,
        starts=[data_uri(small_png(image), "image/png") for image in report.starts],
        strip=data_uri((folder / "strip.png").read_bytes(), "image/png"),
        comparison=data_uri(comparison.read_bytes(), "image/png") if comparison.exists() else None,
        is_video=kind == "video",
        video=data_uri(video.read_bytes(), f"{kind}/{suffix}"),
        density=density,
        typical=typical,
        settings=list(flat_settings(report.settings)),
        total=tuple(
            sum(getattr(stage, column) for stage in report.cost)
            for column in ("rows", "calls", "seconds")
        ),
    )
