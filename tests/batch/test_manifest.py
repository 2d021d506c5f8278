"""The plan of a batch: written once, and compared when it is started again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.batch.manifest import (
    FILE,
    BatchPair,
    Manifest,
    plan,
    read_manifest,
    settled_manifest,
    shard_of,
)
from tests.batch.toys import toy_pairs

HEADER = {"job": "toy", "settings": {"steps": 25, "metric": {"strength": 0.3}}, "model": "1"}


def test_a_key_is_made_of_contents_prompts_and_header(tmp_path: Path) -> None:
    [first, second] = toy_pairs(tmp_path, 2)
    [key] = [p.key for p in plan(HEADER, [first]).pairs]
    Path(tmp_path / "copy.bin").write_bytes(Path(first.a).read_bytes())
    moved = replace(first, a=str(tmp_path / "copy.bin"), name="another")
    assert plan(HEADER, [moved]).pairs[0].key == key
    others = [second, replace(first, a=first.b, b=first.a), replace(first, prompt_a="a cat")]
    headers = [{**HEADER, "model": "2"}, {**HEADER, "settings": {"steps": 26}}]
    keys = [plan(HEADER, [p]).pairs[0].key for p in others]
    keys += [plan(header, [first]).pairs[0].key for header in headers]
    assert len({key, *keys}) == 6


def test_a_batch_that_is_started_again_finds_its_manifest(tmp_path: Path) -> None:
    pairs = toy_pairs(tmp_path / "in", 3)
    first = settled_manifest(tmp_path, HEADER, pairs)
    content = (tmp_path / FILE).read_bytes()
    assert settled_manifest(tmp_path, HEADER, pairs) == first == read_manifest(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("settings", "settings.steps was 25 and is 30"),
        ("fewer", "the pair pair2 is gone"),
        ("more", "the pair extra is new"),
        ("content", "the images or prompts of pair0 have changed"),
        ("order", "the order of the pairs has changed"),
    ],
)
def test_another_manifest_is_refused_and_what_differs_is_said(
    tmp_path: Path, change: str, said: str
) -> None:
    pairs = toy_pairs(tmp_path / "in", 3)
    settled_manifest(tmp_path, HEADER, pairs)
    header = HEADER
    if change == "settings":
        header = {**HEADER, "settings": {"steps": 30, "metric": {"strength": 0.3}}}
    elif change == "fewer":
        pairs = pairs[:2]
    elif change == "more":
        pairs = [*pairs, replace(pairs[0], name="extra")]
    elif change == "order":
        pairs = pairs[::-1]
    else:
        Path(pairs[0].a).write_bytes(b"something else")
    with pytest.raises(ValueError, match=said):
        settled_manifest(tmp_path, header, pairs)


def test_a_missing_file_may_turn_up_later(tmp_path: Path) -> None:
    pairs = toy_pairs(tmp_path / "in", 2)
    missing = Path(pairs[1].b)
    content = missing.read_bytes()
    missing.unlink()
    first = settled_manifest(tmp_path, HEADER, pairs)
    assert first.pairs[1].unread == (str(missing),)
    missing.write_bytes(content)
    assert settled_manifest(tmp_path, HEADER, pairs) == first


def test_any_name_survives_the_file(tmp_path: Path) -> None:
    name = b'caf\xe9 \n"[red]".png'.decode("utf-8", "surrogateescape")
    pair = BatchPair(name, f"/{name}", "/b.png", prompt_a="ein Käse")
    first = settled_manifest(tmp_path, HEADER, [pair])
    assert read_manifest(tmp_path) == first
    assert first.pairs[0].a == f"/{name}"


@pytest.mark.parametrize("text", ["", "[]\n", "{}\n", '{"program": "other"}\n', '{"program": '])
def test_a_file_of_another_kind_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match="no manifest of a batch"):
        read_manifest(tmp_path)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 9))
def test_shards_share_the_pairs_out(keys: list[int], count: int) -> None:
    """Every key is in exactly one shard, once."""
    pairs = [BatchPair(str(i), "a", "b", key=str(key)) for i, key in enumerate(keys)]
    shards = [list(shard_of(pairs, (i, count))) for i in range(1, count + 1)]
    assert sorted(p.key for shard in shards for p in shard) == sorted(set(map(str, keys)))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_differences_name_nested_settings() -> None:
    other = Manifest({**HEADER, "settings": {"steps": 25, "metric": {"strength": 1.0}}}, ())
    assert Manifest(HEADER, ()).differences(other) == [
        "settings.metric.strength was 0.3 and is 1.0"
    ]
