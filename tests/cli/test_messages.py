"""Messages of the library name settings, never the options of the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import diffusion_geodesics

ROOT = Path(diffusion_geodesics.__file__).parent
FRONT = ("cli", "web", "batch")
"""What parses, calls and shows."""
ABOUT_COMMANDS = ROOT / "runtime" / "settings_file.py"
"""Writes the files that commands read, and says so in them."""
FILES = [
    file
    for file in sorted(ROOT.rglob("*.py"))
    if file.relative_to(ROOT).parts[0] not in (*FRONT, "__main__.py") and file != ABOUT_COMMANDS
]


def texts(file: Path) -> list[str]:
    """The strings in a file that are no docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    alone = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_no_message_names_an_option(file: Path) -> None:
    """CSS variables are written var(--name)."""
    own = [text for text in texts(file) if not text.startswith("pip install ")]
    named = [text for text in own if re.search(r"(?<![\w(-])--[a-z]", text)]
    assert named == []
