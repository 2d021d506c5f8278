"""The notebooks run, and what they keep of their last run is what they would show."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import ROOT

pytestmark = pytest.mark.whole

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def kinds(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """What each cell of code put out: names of streams, kinds of data."""
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    return [[o.get("name") or max(o["data"]) for o in cell.outputs] for cell in cells]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file: Path, tmp_path: Path) -> None:
    kept, ran = (nbformat.read(file, as_version=4) for _ in range(2))
    for cell in ran.cells:  # the one change: smaller pictures
        cell.source = cell.source.replace("frames=5, steps=8", "frames=5, steps=8, size=64")
    client = NotebookClient(ran, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert kinds(ran) == kinds(kept)
    assert "converged" in ran.cells[3].outputs[0].text
    assert (tmp_path / "runs" / "first-steps" / "report.html").is_file()


def test_a_notebook_becomes_a_page() -> None:
    (file,) = NOTEBOOKS
    make = runpy.run_path(str(ROOT / "docs" / "notebook_pages.py"))["as_page"]
    page, pictures = make(json.loads(file.read_text(encoding="utf-8")), file.stem)
    assert list(pictures) == [f"{file.stem}-{n}.png" for n in (1, 2, 3)]
    assert all(
        f"({name})" in page and content[:4] == b"\x89PNG" for name, content in pictures.items()
    )
    assert "```python\nimport math" in page
    assert "score evaluations\n```" in page
