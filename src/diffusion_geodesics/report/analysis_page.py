"""One analysis, one folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from diffusion_geodesics.report.analysis_data import AnalysisReport, Section
from diffusion_geodesics.report.analysis_plots import comparison_plot, panels_plot
from diffusion_geodesics.report.folder import PROGRAM, staged_folder
from diffusion_geodesics.report.jsonable import to_json
from diffusion_geodesics.report.page import data_uri, flat_settings, render_page
from diffusion_geodesics.report.strip import StripLayout, compare_strip
from diffusion_geodesics.report.write import Written

_LAYOUT = StripLayout(frame_height=128, text=15)


def write_analysis(
    folder: str | Path, report: AnalysisReport, *, overwrite: bool = False
) -> Written:
    """Write an analysis into one folder: all of it, or nothing.

    - `result.json`: `report.result`, with `program` and the list of `files`
    - a CSV file for each of `report.sheets`
    - `strips/000.png` ...: one for every section with films
    - `report.html`: everything on one page that needs no other file

    Raises:
        FileExistsError: the folder is there, and is not a former run that may be overwritten.
        NotADirectoryError: a file is in the way.
        ValueError: the folder is the current one or contains it.
        TypeError: `report.result` holds something that JSON cannot.
    """
    to_json(report.result)  # complain about what cannot be written before the work is done
    with staged_folder(folder, overwrite=overwrite) as staging:
        strips: list[Path | None] = []
        for i, section in enumerate(report.sections):
            if not section.films:
                strips.append(None)
                continue
            (staging / "strips").mkdir(exist_ok=True)
            strips.append(staging / "strips" / f"{i:03d}.png")
            compare_strip(section.films, _LAYOUT).save(staging / "strips" / f"{i:03d}.png")
        for name, (head, rows) in report.sheets.items():
            with (staging / name).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(head)
                writer.writerows(rows)
        (staging / "report.html").write_text(render_analysis(report, strips), encoding="utf-8")
        found = (f.relative_to(staging).as_posix() for f in staging.rglob("*") if f.is_file())
        files = sorted({*found, "result.json"})
        result = {**report.result, "program": PROGRAM, "files": files}
        (staging / "result.json").write_text(to_json(result), encoding="utf-8")
    return Written(Path(folder).expanduser().resolve(), tuple(files))


def render_analysis(report: AnalysisReport, strips: list[Path | None]) -> str:
    """The report as HTML text. All text is escaped; all pictures are inside.

    Arguments:
        report: what to report.
        strips: a PNG file for every section, or None.
    """
    return render_page(
        "analysis.html.j2",
        report=report,
        controls=comparison_plot("Clip and controls", report.comparisons)
        if report.comparisons
        else None,
        sections=[
            (section, _plots(number, section), strip and _small_jpeg(strip))
            for number, (section, strip) in enumerate(zip(report.sections, strips, strict=True))
        ],
        total=tuple(
            sum(getattr(stage, column) for stage in report.cost)
            for column in ("rows", "calls", "seconds")
        ),
        settings=list(flat_settings(report.settings)),
    )


def _plots(number: int, section: Section) -> list[str]:
    return [
        panels_plot(f"{section.title}, {number}.{i}", pair) for i, pair in enumerate(section.plots)
    ]


def _small_jpeg(strip: Path) -> str:
    """The strip for the page: fewer colours than in the file, so that long reports stay small."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(strip) as image:
        image.convert("RGB").save(buffer, format="JPEG", quality=88)
    return data_uri(buffer.getvalue(), "image/jpeg")
