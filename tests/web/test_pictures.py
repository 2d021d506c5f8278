"""The pictures of a film: taken, refused in words, moved, removed."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from diffusion_geodesics.web.pictures import (
    MOST,
    Entry,
    added,
    moved,
    pixels,
    prompt_setting,
    prompted,
    removed,
)


def saved(path: Path, size: tuple[int, int] = (40, 30), seed: int = 0, mode: str = "RGB") -> str:
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return str(path)


def test_pictures_are_taken_in_order(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{n}.png", seed=i) for i, n in enumerate("ab")]
    entries, problems = added((), paths)
    assert [e.name for e in entries] == ["a.png", "b.png"]
    assert not problems
    assert all(e.thumbnail.startswith("data:image/jpeg;base64,") for e in entries)
    assert [tuple(x.shape) for x in pixels(entries)] == [(3, 30, 40)] * 2


def test_bad_files_are_named_in_one_sentence_and_the_others_taken(tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("this is no picture")
    frames = [Image.new("RGB", (32, 32), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    huge = tmp_path / "huge.png"
    Image.new("1", (30_000, 30_000)).save(huge)
    good = saved(tmp_path / "good.png")
    files = [str(text), str(tmp_path / "film.gif"), str(huge), good]
    entries, problems = added((), files)
    assert [e.name for e in entries] == ["good.png"]
    assert len(problems) == 3
    for problem, words in zip(
        problems, ("not an image", "animation of 2 frames", "megapixels"), strict=True
    ):
        assert words in problem
        assert str(tmp_path) not in problem
        assert problem.endswith(".")
        assert not problem.endswith("..")


def test_turned_cmyk_and_transparent_pictures_are_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.new("RGB", (40, 20), "red").save(tmp_path / "turned.jpg", exif=exif)
    cmyk = saved(tmp_path / "cmyk.jpg", mode="CMYK")
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(clear)
    entries, problems = added((), [str(tmp_path / "turned.jpg"), cmyk, str(clear)])
    assert not problems
    assert [tuple(x.shape) for x in pixels(entries)] == [(3, 40, 20), (3, 30, 40), (4, 20, 20)]


def test_no_more_than_twelve(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    entries, problems = added((), [path] * 14)
    assert len(entries) == MOST
    assert len(problems) == 1


PLACES = st.integers(-1, 6)


@hypothesis.given(count=st.integers(0, 5), index=PLACES, by=st.sampled_from([-1, 1]))
def test_moving_keeps_every_picture(count: int, index: int, by: int) -> None:
    entries = tuple(Entry(str(i), "") for i in range(count))
    found = moved(entries, index, by)
    assert sorted(e.path for e in found) == [str(i) for i in range(count)]
    if 0 <= index < count and 0 <= index + by < count:
        assert found[index + by] == entries[index]
        assert moved(found, index + by, -by) == entries
    else:
        assert found == entries


def test_removing_and_prompts() -> None:
    entries = tuple(Entry(name, "") for name in "abc")
    assert [e.path for e in removed(entries, 1)] == ["a", "c"]
    assert prompt_setting(entries) == {}
    said = prompted(entries, ["a dog ", "", "a cat"])
    assert prompt_setting(said) == {"prompt": ("a dog", "", "a cat")}
    assert prompt_setting(prompted(entries, ["a dog"] * 3)) == {"prompt": ("a dog",)}
    assert [e.prompt for e in moved(said, 0, 1)] == ["", "a dog", "a cat"]


def test_no_picture_is_no_film() -> None:
    from diffusion_geodesics.web.film import demand_enough

    with pytest.raises(ValueError, match="two pictures"):
        demand_enough(())
    with pytest.raises(ValueError, match="second picture"):
        demand_enough((Entry("a", ""),))
