"""Everything that is written about one result: one page, and one folder of files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import final

from torch import Tensor

from diffusion_geodesics.reporting.blocks import Block, Film, Plot, Section, VideoClip
from diffusion_geodesics.reporting.pixels import check_colours
from diffusion_geodesics.runtime.cost import CostBreakdown

RESULT, PAGE, SETTINGS = "result.json", "report.html", "settings.toml"
"""Names of the files that every report has; the last where it has settings."""


@final
@dataclass(frozen=True)
class Banner:
    """What makes all figures doubtful: a heading, and one reason a line."""

    title: str
    lines: Sequence[str]


@final
@dataclass(frozen=True)
class Sheet:
    """A CSV file: the columns' names, and rows of numbers and text."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]


@final
@dataclass(frozen=True, eq=False)
class Report:
    """A page and the files that go with it."""

    title: str
    result: Mapping[str, object]  # contents of result.json, to which the writer adds
    lead: str = ""  # a sentence below the title: how it went
    opening: Sequence[Block] = ()  # side by side: such as the images and the film between them
    banner: Banner | None = None  # what makes all figures doubtful
    warnings: Sequence[str] = ()  # what must be known before the figures are believed
    sections: Sequence[Section] = ()  # the rest of the page
    settings: str = ""  # text of settings.toml
    # Files by name: safetensors, CSV, others. Frames go into a folder, as 000.png and on.
    tensors: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    sheets: Mapping[str, Sheet] = field(default_factory=dict)
    extra_files: Mapping[str, str | bytes] = field(default_factory=dict)
    frames: Mapping[str, Tensor] = field(default_factory=dict)
    cost: CostBreakdown = field(default_factory=CostBreakdown)
    versions: Mapping[str, str] = field(default_factory=dict)  # of packages, by name

    def __post_init__(self) -> None:
        seen = {RESULT, PAGE, SETTINGS}
        for name in self._names():
            parts = PurePosixPath(name).parts
            if not parts or name.startswith("/") or any(p.startswith(".") for p in parts):
                raise ValueError(f"{name!r} is no name for a file of a report")
            if name in seen:
                raise ValueError(f"two files of the report are called {name}")
            seen.add(name)
        for name, frames in self.frames.items():
            check_colours(frames, name)

    def blocks(self) -> Iterator[Block]:
        """Every block of the page, in order."""
        yield from self.opening
        for section in self.sections:
            yield from section.blocks

    def _names(self) -> Iterator[str]:
        for names in (self.tensors, self.sheets, self.extra_files, self.frames):
            yield from names
        for block in self.blocks():
            if isinstance(block, Film | Plot) and block.file:
                yield block.file
            elif isinstance(block, VideoClip):
                yield from (f"{block.name}{kind.suffix}" for kind in block.formats)


def file_name(text: str) -> str:
    """A name that is safe as that of a file or folder, from any text: letters, digits and +-_."""
    plain = text.encode("utf-8", "replace").decode()
    kept = "".join(c if c.isalnum() or c in "+-_." else "-" for c in plain)
    return kept.strip("-.")[:100] or "unnamed"
