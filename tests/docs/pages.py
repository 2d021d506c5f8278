"""The pages of the documentation, and what is shown in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "training").glob("*.md"),
    ]
)
"""Every page of ours."""

SKIP = re.compile(r"<!-- not run: (.*?) -->\n+```python\n.*?```", re.DOTALL)
"""A block that no test can run, and why."""
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^ {4}\S.*\n)+", re.MULTILINE)
_INLINE = re.compile(r"`((?:geodesic|make|python -m) [^`]+)`")
_SHELL = ("sh", "bash", "console", "")


@dataclass(frozen=True)
class Block:
    """A block of Python: its text, and the number of its first line."""

    text: str
    line: int


def name_of(page: Path) -> str:
    """The path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def python_blocks(page: Path) -> list[Block]:
    """Blocks of Python of a page that can be run, in order."""
    text = page.read_text(encoding="utf-8")
    text = SKIP.sub(lambda found: "\n" * found[0].count("\n"), text)
    return [Block(m[1], text[: m.start(1)].count("\n") + 1) for m in _PYTHON.finditer(text)]


def commands(page: Path) -> Iterator[list[str]]:
    """Commands of a page, in blocks and within sentences, as lists of words."""
    text = page.read_text(encoding="utf-8")
    for kind, body in _FENCED.findall(text):
        if kind in _SHELL:
            yield from _lines(body)
    plain = _FENCED.sub("", text)
    for block in _INDENTED.findall(plain):
        yield from _lines(block)
    for inline in _INLINE.findall(plain):
        yield from _lines(" ".join(inline.split()))


def _lines(body: str) -> Iterator[list[str]]:
    for line in body.replace("\\\n", " ").splitlines():
        words = line.strip().removeprefix("$ ")
        if words.split(" ")[0] in ("geodesic", "make", "python"):
            yield shlex.split(words, comments=True)
