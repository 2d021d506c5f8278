"""Whatever the user named, as a clip; one clear line for what is none."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from diffusion_geodesics.clips import (
    AnimatedImage,
    ClipError,
    FolderClip,
    FrameNumber,
    Reading,
    VideoClip,
    open_clip,
)
from tests.clips.films import Coding, as_bytes, film, ramp, same


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clips") / "ramp.mp4", as_bytes(ramp()))


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((2, 4096), dtype=np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))  # type: ignore[union-attr]
        container.mux(stream.encode(None))  # type: ignore[union-attr]
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def bad_files(mp4: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    whole = mp4.read_bytes()
    Image.new("RGB", (32, 32)).save(folder / "still.jpg")
    Image.new("RGB", (32, 32)).save(folder / "still.gif")
    (folder / "nothing").mkdir()
    return {
        "absent": (folder / "none.mp4", "does not exist"),
        "below a file": (mp4 / "none.mp4", "does not exist"),
        "empty": (written(folder / "empty.mp4", b""), "is empty"),
        "sound": (sound(folder / "sound.mp4"), "sound only"),
        "text": (written(folder / "text.mp4", b"no video at all\n" * 40), "video"),
        "subtitles": (
            written(folder / "a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"),
            "video",
        ),
        "half": (written(folder / "half.mp4", whole[: 3 * len(whole) // 4]), "cut short|damaged"),
        "headless": (
            written(folder / "headless.mp4", whole[: len(whole) // 10]),
            "cut short|damaged",
        ),
        "one": (film(folder / "one.mp4", as_bytes(ramp(2))[:1]), "single frame"),
        "still": (folder / "still.jpg", "still image"),
        "still gif": (folder / "still.gif", "still image"),
        "folder": (folder / "nothing", "no pictures"),
        "small": (film(folder / "small.mp4", as_bytes(ramp(3, 8, 8))), "at least 16"),
    }


def test_one_clear_line_for_what_is_no_clip(mp4: Path, tmp_path: Path) -> None:
    for name, (path, expected) in bad_files(mp4, tmp_path).items():
        with pytest.raises(ClipError, match=expected) as caught:
            list(open_clip(path).frames(Reading(), same))
        assert "\n" not in str(caught.value), name
        assert path.name in str(caught.value), name


def test_each_kind_is_found(mp4: Path, tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels) for pixels in as_bytes(ramp(3))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    for k, frame in enumerate(frames):
        frame.save(tmp_path / f"{k}.png")
    assert isinstance(open_clip(mp4), VideoClip)
    assert isinstance(open_clip(str(tmp_path / "a.gif")), AnimatedImage)
    assert isinstance(open_clip(tmp_path), FolderClip)


def test_a_stream_of_what_has_no_streams_is_refused(mp4: Path, tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels) for pixels in as_bytes(ramp(3))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "0.png")
    for path in (tmp_path / "a.gif", tmp_path):
        with pytest.raises(ClipError, match="has no streams to choose from; leave the stream out"):
            open_clip(path, stream=0)
    assert open_clip(mp4, stream=0).count > 1


def test_damage_in_the_middle_is_said_with_its_place(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 255, (12, 64, 64, 3)).astype(np.uint8)
    path = film(tmp_path / "a.mp4", noise, Coding("mpeg4"))
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 200] = draw.integers(0, 255, 200).astype(np.uint8).tobytes()
    path.write_bytes(data)
    read: list[int] = []
    with pytest.raises(ClipError, match=r"damaged( or cut short)? after frame \d+"):
        read.extend(frame.index for frame in open_clip(path).frames(Reading(), same))
    assert 0 < len(list(open_clip(path).frames(Reading(end=FrameNumber(2)), same))) <= 2
