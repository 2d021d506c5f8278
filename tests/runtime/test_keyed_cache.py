"""Entries come back as they were stored, damaged ones are named, and processes do not disturb."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.storage import CacheEntry, DamagedEntryError, KeyedCache
from tests.runtime.sandbox import run_in_child, tree

KEY = content_key("key")


def entry(value: float = 1.0, **metadata: object) -> CacheEntry:
    return CacheEntry({"x": torch.full((3, 2), float(value))}, metadata)


def same(a: CacheEntry | None, b: CacheEntry) -> bool:
    return (
        a is not None
        and a.metadata == b.metadata
        and a.tensors.keys() == b.tensors.keys()
        and all(
            torch.equal(a.tensors[n], b.tensors[n]) and a.tensors[n].dtype == b.tensors[n].dtype
            for n in b.tensors
        )
    )


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    cache = KeyedCache(tmp_path / "cache", "film-segment")
    base = torch.arange(12.0)
    stored = CacheEntry(
        {
            "shared": base[:6].view(2, 3),
            "also shared": base,
            "strided": base.view(3, 4).T,
            "scalar": torch.tensor(2.5, dtype=torch.float64),
            "none": torch.empty(0, 4),
            "half": torch.ones(3, dtype=torch.bfloat16),
            "mask": torch.tensor([True, False]),
            "frames": torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2),
            "graph": torch.ones(2, requires_grad=True),
        },
        {"scores": {"lpips": 0.25}, "names": ["a", "ü"], "note": None},
    )
    assert cache.get(KEY) is None
    assert KEY not in cache
    cache.put(KEY, stored)
    assert KEY in cache
    assert list(cache.keys()) == [KEY]
    assert same(cache.get(KEY), stored)
    assert tree(tmp_path) == [
        "cache",
        "cache/film-segment",
        f"cache/film-segment/{KEY}.safetensors",
    ]
    cache.discard(KEY)
    cache.discard(KEY)
    assert cache.get(KEY) is None


def test_an_entry_is_replaced(tmp_path: Path) -> None:
    cache = KeyedCache(tmp_path, "matrix")
    for pairs in (1, 2, 3):
        cache.put(KEY, entry(pairs, pairs=pairs))
    assert same(cache.get(KEY), entry(3.0, pairs=3))
    assert list(cache.keys()) == [KEY]


def test_kinds_do_not_meet(tmp_path: Path) -> None:
    KeyedCache(tmp_path, "a").put(KEY, entry())
    assert KeyedCache(tmp_path, "b").get(KEY) is None


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "a.b"])
def test_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        KeyedCache(tmp_path, name)
    with pytest.raises(ValueError, match="letters, digits"):
        KeyedCache(tmp_path, "kind").get(name)


def test_metadata_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    cache = KeyedCache(tmp_path, "kind")
    with pytest.raises(TypeError):
        cache.put(KEY, entry(model=object()))
    assert KEY not in cache


def damage(content: bytes, kind: str) -> bytes:
    match kind:
        case "empty":
            return b""
        case "cut short":
            return content[:-5]
        case "one bit of a tensor":
            return content[:-1] + bytes([content[-1] ^ 1])
        case "one letter of the metadata":
            return content.replace(b"note", b"nota")
        case "no file of ours":
            return torch.load.__doc__.encode() if torch.load.__doc__ else b"x" * 100
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    ["empty", "cut short", "one bit of a tensor", "one letter of the metadata", "no file of ours"],
)
def test_a_damaged_entry_is_named_and_can_be_computed_again(tmp_path: Path, kind: str) -> None:
    cache = KeyedCache(tmp_path, "kind")
    cache.put(KEY, entry(note="fine"))
    file = cache.path(KEY)
    file.write_bytes(damage(file.read_bytes(), kind))
    with pytest.raises(DamagedEntryError, match="is damaged .*; delete it") as e:
        cache.get(KEY)
    assert e.value.file == file
    assert str(file) in str(e.value)
    with pytest.raises(DamagedEntryError):
        cache.get_or_compute(KEY, entry)
    told: list[DamagedEntryError] = []
    assert same(cache.get_or_compute(KEY, lambda: entry(2.0), told.append), entry(2.0))
    assert [error.file for error in told] == [file]
    assert same(cache.get(KEY), entry(2.0))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, change: int
) -> None:
    cache = KeyedCache(tmp_path_factory.mktemp("cache"), "kind")
    cache.put(KEY, entry(note="fine"))
    file = cache.path(KEY)
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= change
    file.write_bytes(content)
    try:
        found = cache.get(KEY)
    except DamagedEntryError:
        return
    assert same(found, entry(note="fine"))  # such as a space of the header made a tab


def test_an_entry_under_another_name_is_damaged(tmp_path: Path) -> None:
    cache = KeyedCache(tmp_path, "kind")
    cache.put("b", entry())
    cache.path("b").rename(cache.path("a"))
    with pytest.raises(DamagedEntryError, match="it is entry b of kind kind"):
        cache.get("a")


def test_an_entry_is_computed_once(tmp_path: Path) -> None:
    cache, computed = KeyedCache(tmp_path, "kind"), list[int]()

    def compute() -> CacheEntry:
        computed.append(1)
        return entry()

    for _ in range(3):
        assert same(cache.get_or_compute(KEY, compute), entry())
    assert computed == [1]


def test_the_home_folder_is_meant_by_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    KeyedCache(Path("~/cache"), "kind").put(KEY, entry())
    assert (tmp_path / "cache" / "kind").is_dir()


def test_a_kill_at_any_call_leaves_the_former_entry_or_the_new_one(tmp_path: Path) -> None:
    calls = 0
    for k in itertools.count(1):
        calls = k
        cache = KeyedCache(tmp_path / str(k), "kind")
        cache.put(KEY, entry(1.0))
        killed = run_in_child(lambda to=cache: to.put(KEY, entry(2.0)), k)
        found = cache.get(KEY)
        assert same(found, entry(1.0)) or same(found, entry(2.0))
        cache.sweep()
        assert tree(cache.folder) == ["kind", f"kind/{KEY}.safetensors"]
        if not killed:
            break
    assert calls > 2


def test_processes_that_store_and_read_one_key_at_once_see_whole_entries(tmp_path: Path) -> None:
    cache = KeyedCache(tmp_path, "kind")
    cache.put(KEY, entry(0.0, number=0))

    def action() -> None:
        writers = [os.fork()]
        writers += [os.fork()] if writers[0] else []
        if 0 in writers:
            for i in range(8):
                cache.put(KEY, entry(i, number=i))
            os._exit(0)
        while writers:
            found = cache.get(KEY)
            assert found is not None
            assert same(found, entry(int(str(found.metadata["number"])), **found.metadata))
            writers = [w for w in writers if os.waitpid(w, os.WNOHANG)[0] == 0]

    run_in_child(action)
    assert tree(tmp_path) == ["kind", f"kind/{KEY}.safetensors"]


def test_metadata_is_a_mapping_of_any_json(tmp_path: Path) -> None:
    cache = KeyedCache(tmp_path, "kind")
    metadata: Mapping[str, object] = {"list": [1, 2.5, "x", None, {"deep": True}]}
    cache.put(KEY, CacheEntry({}, metadata))
    assert same(cache.get(KEY), CacheEntry({}, metadata))


def test_where_nothing_can_be_kept_is_found_out_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file.*cannot be written: .*; name another folder"):
        KeyedCache(tmp_path / "file", "kind").demand_writable()
    cache = KeyedCache(tmp_path / "new", "kind")
    cache.demand_writable()
    assert list((tmp_path / "new" / "kind").iterdir()) == []
