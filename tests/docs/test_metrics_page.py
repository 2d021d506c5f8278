"""The examples of the page on metrics run, one after the other, and print what it says."""

import re
from pathlib import Path

import pytest


def test_examples(capsys: pytest.CaptureFixture[str]):
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("converged" in line for line in lines)
    assert float(lines[3].split()[-1]) > 0.35
