"""Every picture that a page shows is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, name_of

PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_pictures_of_a_page_are_there(page: Path) -> None:
    places = [p for p in PICTURE.findall(page.read_text(encoding="utf-8")) if "://" not in p]
    assert [p for p in places if not (page.parent / p).is_file()] == []


def test_pages_have_pictures() -> None:
    assert sum(len(PICTURE.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 15
