"""Every test that the table of faults names is there, and every kind has one."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.faults.table import TABLE, Fault

ROOT = Path(__file__).parents[2]
KINDS = 23


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: f"{fault.number} {fault.kind[:40]}")
def test_the_tests_of_a_kind_are_there(fault: Fault) -> None:
    assert fault.tests
    for node in fault.tests:
        file, name = node.split("::")
        assert name in names_in(file), node


def test_every_kind_is_in_the_table_once() -> None:
    assert sorted(f.number for f in TABLE if f.number) == list(range(1, KINDS + 1))
    reports = [report for fault in TABLE for report in fault.reports]
    assert len(reports) == len(set(reports)) == 24
    assert all(len(r.split()) == 2 and r.split()[1].isdecimal() for r in reports)
