"""Pairs of images from files, and strips of frames from folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.testing import assert_close

from diffusion_geodesics.comparison.pairs import frames_of, read_pairs, slug, strips_in
from diffusion_geodesics.comparison.rendered import eight_bits
from diffusion_geodesics.images import save_png
from tests.comparison.scenes import fade, write_strip
from tests.gaussian_model import picture


def test_pairs_from_files(tmp_path: Path) -> None:
    for k in range(4):
        save_png(tmp_path / f"{k}.png", picture(k))
    table = tmp_path / "pairs.csv"
    table.write_text("a,b,name,prompt_a\n0.png,1.png,first,a cat\n2.png,3.png,,\n")
    first, second = read_pairs(table)
    assert (first.name, first.prompt_a, first.prompt_b) == ("first", "a cat", None)
    assert second.name == "002-2-3"
    assert second.a == tmp_path / "2.png"
    listed = tmp_path / "pairs.json"
    listed.write_text(json.dumps([{"a": "0.png", "b": "1.png"}]))
    assert read_pairs(listed)[0].name == "001-0-1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x,b\n0.png,1.png\n", "expected a, b"),
        ("a,b\n0.png,\n", "lacks an image"),
        ("a,b\n", "no pairs"),
        ("a,b,name\n0,1,p\n2,3,p\n", "more than one pair called p"),
    ],
)
def test_bad_tables_of_pairs(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_pairs(tmp_path / "pairs.csv")


def test_bad_sources_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        read_pairs(tmp_path / "pairs.json")
    (tmp_path / "pairs.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="expected a list"):
        read_pairs(tmp_path / "pairs.json")
    (tmp_path / "pairs.txt").write_text("")
    with pytest.raises(ValueError, match=r"neither \.csv, \.json nor \.jsonl"):
        read_pairs(tmp_path / "pairs.txt")
    with pytest.raises(ValueError, match="does not exist"):
        read_pairs(tmp_path / "missing.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"NAME_0\.png"):
        read_pairs(tmp_path / "empty")


def test_the_layout_of_morphbench(tmp_path: Path) -> None:
    for part, name in (("Animation", "cat_0"), ("Animation", "cat_1"), ("Metamorphosis", "a_b_0")):
        (tmp_path / part).mkdir(exist_ok=True)
        save_png(tmp_path / part / f"{name}.png", picture(1))
    Image.new("RGB", (32, 32)).save(tmp_path / "Metamorphosis" / "a_b_1.jpg")
    pairs = read_pairs(tmp_path)
    assert [p.name for p in pairs] == ["Animation/cat", "Metamorphosis/a_b"]
    assert pairs[1].b == tmp_path / "Metamorphosis" / "a_b_1.jpg"


def test_a_prompt_and_a_name_are_read_and_unknown_keys_refused(tmp_path: Path) -> None:
    listed = tmp_path / "pairs.json"
    rows = [{"a": "0.png", "b": "1.png", "name": "n", "prompt_a": "x", "prompt_b": "y"}]
    listed.write_text(json.dumps(rows))
    (found,) = read_pairs(listed)
    assert (found.name, found.prompt_a, found.prompt_b) == ("n", "x", "y")
    listed.write_text(json.dumps([{"a": "0.png", "b": "1.png", "c": "2.png"}]))
    with pytest.raises(ValueError, match="pair 1 has c; expected a, b"):
        read_pairs(listed)
    listed.write_text(json.dumps(["0.png"]))
    with pytest.raises(ValueError, match="is no object"):
        read_pairs(listed)


@given(st.text(max_size=20))
def test_names_become_safe_file_names(name: str) -> None:
    found = slug(name)
    assert found
    assert "/" not in found
    assert not found.startswith((".", "-"))
    assert slug(found) == found


def test_a_folder_is_one_strip_or_one_a_pair(tmp_path: Path) -> None:
    frames = fade(picture(1), picture(2), 4)
    write_strip(tmp_path / "one", frames)
    assert strips_in(tmp_path / "one") == {"": tmp_path / "one"}
    assert_close(torch.stack(frames_of(tmp_path / "one", "any")), eight_bits(frames))
    write_strip(tmp_path / "many" / "p", frames)
    write_strip(tmp_path / "many" / "q" / "frames", frames.flip(0))
    (tmp_path / "many" / "notes").mkdir()
    found = strips_in(tmp_path / "many")
    assert found == {"p": tmp_path / "many/p", "q": tmp_path / "many/q/frames"}
    first, *_ = frames_of(tmp_path / "many", "q")
    assert_close(first, eight_bits(frames)[-1])
    with pytest.raises(ValueError, match="has no frames of the pair r; it has p, q"):
        frames_of(tmp_path / "many", "r")
    write_strip(tmp_path / "short", frames[:2])
    with pytest.raises(ValueError, match="has 2 frames; a strip needs at least 3"):
        frames_of(tmp_path / "short", "p")


def test_in_a_folder_of_ours_the_frames_are_in_frames(tmp_path: Path) -> None:
    write_strip(tmp_path / "frames", fade(picture(1), picture(2), 3))
    (tmp_path / "result.json").write_text("{}")
    save_png(tmp_path / "strip.png", picture(1))
    save_png(tmp_path / "comparison.png", picture(2))
    assert strips_in(tmp_path) == {"": tmp_path / "frames"}
    (tmp_path / "frames").rename(tmp_path / "elsewhere")
    assert strips_in(tmp_path) == {"elsewhere": tmp_path / "elsewhere"}
