"""Examples as modules, and their main functions with words of a command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    """The module of an example, which imports others from its folder."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    return importlib.import_module(name)


def run(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``python examples/name.py words`` does."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    load(name).main()
