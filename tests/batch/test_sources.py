"""Where pairs come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffusion_geodesics.batch.sources import pairs_from


def test_all_pairs_of_images(tmp_path: Path) -> None:
    images = [tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", tmp_path / "b.png"]
    found = pairs_from(images, all_pairs=True)
    assert [p.name for p in found] == ["0-a-1-a", "0-a-2-b", "1-a-2-b"]
    assert [(p.a, p.b) for p in found][2] == (str(images[1]), str(images[2]))
    with pytest.raises(ValueError, match="at least two"):
        pairs_from(images[:1], all_pairs=True)


def test_files_of_pairs_give_the_same_pairs(tmp_path: Path) -> None:
    rows = [
        {"a": "a.png", "b": "b.png", "name": "ab", "prompt_a": "a cat"},
        {"a": "b.png", "b": "c"},
    ]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "p.csv").write_text("name,a,b,prompt_a\nab,a.png,b.png,a cat\n,b.png,c,\n")
    found = [pairs_from([tmp_path / f"p.{kind}"]) for kind in ("json", "jsonl", "csv")]
    assert found[0] == found[1] == found[2]
    assert found[0][0].a == str(tmp_path / "a.png")
    assert (found[0][0].prompt_a, found[0][0].prompt_b) == ("a cat", None)


def test_a_folder_such_as_morphbench(tmp_path: Path) -> None:
    for name in ("cat_0.png", "cat_1.png", "dog_0.jpg", "dog_1.jpg", "alone_0.png"):
        (tmp_path / "Animation").mkdir(exist_ok=True)
        (tmp_path / "Animation" / name).touch()
    assert [p.name for p in pairs_from([tmp_path])] == ["Animation/cat", "Animation/dog"]


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"a": 1\n')
    with pytest.raises(ValueError, match="cannot be read"):
        pairs_from([tmp_path / "p.jsonl"])
    with pytest.raises(ValueError, match="got 0 sources"):
        pairs_from([])
