"""Every film format, read back: frames, size, rate, colours, alpha, and the same bytes again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from diffusion_geodesics.reporting import films
from diffusion_geodesics.reporting.film_format import FilmFormat
from diffusion_geodesics.reporting.films import FORMATS, FilmFile, film_format, write_films
from diffusion_geodesics.reporting.playback import (
    Lanczos,
    LanczosToHeight,
    Loop,
    Once,
    Playback,
    ThereAndBack,
)

VIDEOS = ["mp4", "mp4-444", "webm", "av1", "prores", "ffv1"]
ANIMATIONS = ["gif", "webp", "apng"]
WITH_ALPHA = ["webm", "prores", "ffv1", "webp", "apng", "png"]
LOSSLESS = ["ffv1", "apng", "png"]

needs_av1 = pytest.mark.skipif(bool(FORMATS["av1"].problem()), reason="no AV1 encoder")
EVERY = [pytest.param(name, marks=needs_av1) if name == "av1" else name for name in FORMATS]


@dataclass(frozen=True)
class Read:
    """A film as it was read back.

    Args:
        frames: RGB or RGBA in [0, 1], (n, channels, height, width); those that last longer than
            others are there as often as they last.
        rate: frames a second, None where a file does not say.
        repeats: whether it says that it begins again; None where it says nothing.
    """

    frames: Tensor
    rate: float | None
    repeats: bool | None = None


def frames_of(n: int, height: int, width: int, channels: int = 3) -> Tensor:
    """Flat colours that differ from frame to frame; alpha falls from left to right."""
    random = torch.Generator().manual_seed(1)
    flat = torch.rand(n, 3, 1, 1, generator=random).expand(n, 3, height, width)
    if channels == 3:
        return flat
    alpha = torch.linspace(1, 0.25, width).expand(n, 1, height, width)
    return torch.cat([flat, alpha], 1)


def plain(fps: float | Fraction = 10, **options: Any) -> Playback:
    """Every frame once, in its own size."""
    return Playback(**{"fps": fps, "hold": 1, "order": Once(), "upscale": Lanczos(1), **options})


def written(name: str, frames: Tensor, folder: Path, playback: Playback | None = None) -> FilmFile:
    (file,) = write_films(frames, folder, [film_format(name)], playback or plain())
    return file


def read(file: FilmFile) -> Read:
    if file.path.is_dir():
        images = [Image.open(path) for path in sorted(file.path.iterdir())]
        return Read(torch.stack([pixels(np.asarray(image)) for image in images]), None)
    if file.path.suffix in (".gif", ".webp", ".apng"):
        return read_animation(file)
    return read_video(file.path)


def pixels(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.copy()).permute(2, 0, 1).double() / 255


def read_video(path: Path) -> Read:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate is not None
        decoder: Any = None
        if stream.codec_context.name == "vp9" and stream.metadata.get("ALPHA_MODE") == "1":
            decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own skips the alpha
        packets = container.demux(stream)
        decode = decoder.decode if decoder else stream.codec_context.decode
        shown = [frame for packet in packets for frame in decode(packet)]
        alpha = "a" in shown[0].format.name.removeprefix("gray")
        layout = "rgba" if alpha else "rgb24"
        return Read(
            torch.stack(
                [pixels(frame.reformat(format=layout, threads=1).to_ndarray()) for frame in shown]
            ),
            float(stream.average_rate),
        )


def read_animation(file: FilmFile) -> Read:
    with Image.open(file.path) as image:
        shown, times = [], []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            image.load()
            times.append(float(image.info["duration"]) / 1000)
            shown.append(pixels(np.asarray(image.convert("RGBA" if file.has_alpha else "RGB"))))
        # As often as they last, at the rate that was reached.
        ends = np.cumsum(times)
        counts = np.diff(np.round(ends * float(file.rate)).astype(int), prepend=0)
        repeated = [frame for frame, count in zip(shown, counts, strict=True) for _ in range(count)]
        loop = image.info.get("loop")
        repeats = loop == 0 if file.path.suffix != ".gif" else loop is not None
        return Read(torch.stack(repeated), sum(counts) / ends[-1], repeats)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [(32, 48), (33, 47), (16, 17)])
def test_count_size_rate_and_colours(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    frames = frames_of(7, *size)
    file = written(name, frames, tmp_path)
    got = read(file)
    assert file.path.name == f"morph{FORMATS[name].suffix}"
    assert len(got.frames) == file.frames == 7
    height, width = size if name != "mp4" else (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert got.frames.shape[1:] == (3, height, width)
    assert file.size == (width, height)
    assert any("even sizes" in note for note in file.notes) == ((height, width) != size)
    assert file.rate == 10
    assert got.rate in (None, 10)
    error = (got.frames[..., : size[0], : size[1]] - frames).abs().max()
    assert error <= (0.5001 / 255 if name in LOSSLESS else 0.03)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [3, 4])
def test_the_same_film_gives_the_same_bytes(tmp_path: Path, name: str, channels: int) -> None:
    random = torch.Generator().manual_seed(2)
    frames = torch.rand(5, channels, 40, 36, generator=random)
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        file = written(name, frames, folder)
        paths = sorted(file.path.iterdir()) if file.path.is_dir() else [file.path]
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", WITH_ALPHA)
@pytest.mark.parametrize("size", [(32, 48), (31, 45)])
def test_alpha_is_kept(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    frames = frames_of(4, *size, channels=4)
    file = written(name, frames, tmp_path)
    assert file.has_alpha
    assert file.notes == ()
    got = read(file)
    assert got.frames.shape == frames.shape
    difference = (got.frames - frames).abs()
    assert difference[:, 3].max() <= (0.5001 / 255 if name in LOSSLESS else 0.03)
    assert difference[:, :3].max() <= (0.5001 / 255 if name in LOSSLESS else 0.04)


@pytest.mark.parametrize("name", [n for n in FORMATS if n not in WITH_ALPHA])
def test_alpha_is_laid_on_the_background_where_it_cannot_be_kept(tmp_path: Path, name: str) -> None:
    if FORMATS[name].problem():
        pytest.skip("no AV1 encoder")
    frames = frames_of(4, 32, 48, channels=4)
    file = written(name, frames, tmp_path, plain(background=(0.0, 0.5, 1.0)))
    assert not file.has_alpha
    (note,) = file.notes
    assert note.startswith(f"{file.path.name}: this format keeps no transparency")
    ground = torch.tensor([0.0, 0.5, 1.0])[:, None, None]
    expected = frames[:, :3] * frames[:, 3:] + ground * (1 - frames[:, 3:])
    assert (read(file).frames - expected).abs().max() < 0.04


def test_an_alpha_channel_of_ones_is_left_out(tmp_path: Path) -> None:
    frames = torch.cat([frames_of(3, 20, 20), torch.ones(3, 1, 20, 20)], 1)
    for name in ("webm", "mp4", "apng"):
        file = written(name, frames, tmp_path)
        assert not file.has_alpha
        assert file.notes == ()


@pytest.mark.parametrize("name", [n for n in VIDEOS if n != "av1"])
@pytest.mark.parametrize("fps", [1, 23.976, 24, 29.97, 59.94, 120])
def test_videos_have_any_rate(tmp_path: Path, name: str, fps: float) -> None:
    file = written(name, frames_of(6, 16, 16), tmp_path, plain(fps))
    got = read(file)
    assert len(got.frames) == 6
    assert got.rate == pytest.approx(fps, rel=1e-3)
    assert float(file.rate) == pytest.approx(fps, rel=1e-5)
    assert file.notes == ()


def durations(path: Path) -> list[int]:
    """Milliseconds of every frame of an animated image."""
    with Image.open(path) as image:
        found = []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            image.load()
            found.append(round(image.info["duration"]))
        return found


@pytest.mark.parametrize("name", ANIMATIONS)
@pytest.mark.parametrize("fps", [1, 10, 12, 15, 23.976, 24, 25, 30, 40, 48, 50])
def test_animated_images_hold_the_rate_on_average(tmp_path: Path, name: str, fps: float) -> None:
    file = written(name, frames_of(48, 16, 16), tmp_path, plain(fps))
    got = durations(file.path)
    assert len(got) == 48
    tick = 10 if name == "gif" else 1
    assert sum(got) == pytest.approx(48_000 / fps, abs=tick / 2 + 1e-9)
    assert max(got) - min(got) <= tick
    assert float(file.rate) == pytest.approx(fps, rel=0.01)


def test_gif_says_what_rate_is_reached(tmp_path: Path) -> None:
    assert written("gif", frames_of(4, 16, 16), tmp_path, plain(25)).notes == ()
    file = written("gif", frames_of(40, 16, 16), tmp_path, plain(40))
    assert file.rate == 40
    assert file.notes == (
        "morph.gif: GIF counts hundredths of a second: frames are shown for 2 or 3 of them, "
        "40 frames a second on average.",
    )
    assert sorted(set(durations(file.path))) == [20, 30]


def test_gif_leaves_frames_out_above_fifty_a_second(tmp_path: Path) -> None:
    file = written("gif", frames_of(60, 16, 16), tmp_path, plain(120))
    assert file.frames == 25
    assert file.rate == 50
    assert durations(file.path) == [20] * 25
    assert "25 of 60 frames are shown" in file.notes[0]
    assert "as long as at 120 frames a second" in file.notes[0]


@pytest.mark.parametrize("name", ["webp", "apng"])
def test_frames_too_short_for_browsers_are_told(tmp_path: Path, name: str) -> None:
    assert "10 ms or less" in written(name, frames_of(6, 16, 16), tmp_path, plain(120)).notes[0]
    assert written(name, frames_of(6, 16, 16), tmp_path / "..", plain(90)).notes == ()


@pytest.mark.parametrize("name", EVERY)
def test_holds_and_the_way_back_are_in_the_file(tmp_path: Path, name: str) -> None:
    frames = frames_of(4, 16, 16)
    file = written(name, frames, tmp_path, plain(10, hold=3, order=ThereAndBack()))
    order = [0, 0, 0, 1, 2, 3, 3, 3, 2, 1]
    got = read(file)
    assert file.frames == len(got.frames) == len(order)
    assert (got.frames - frames[order]).abs().max() < 0.03


@pytest.mark.parametrize("name", ANIMATIONS)
@pytest.mark.parametrize("order", [Once(), ThereAndBack(), Loop()])
def test_animated_images_repeat_where_the_order_does(
    tmp_path: Path, name: str, order: Once | ThereAndBack | Loop
) -> None:
    file = written(name, frames_of(3, 16, 16), tmp_path, plain(order=order))
    assert read(file).repeats == order.repeats


@pytest.mark.parametrize("name", EVERY)
def test_a_film_of_one_frame(tmp_path: Path, name: str) -> None:
    file = written(name, frames_of(1, 16, 16), tmp_path, plain(order=ThereAndBack()))
    assert file.frames == 1
    assert file.path.exists()
    if file.path.suffix not in (".gif", ".webp", ".apng"):
        assert len(read(file).frames) == 1


def test_equal_frames_are_all_shown(tmp_path: Path) -> None:
    frames = frames_of(1, 16, 16).expand(5, 3, 16, 16)
    for name in ANIMATIONS:
        file = written(name, frames, tmp_path, plain(5))
        with Image.open(file.path) as image:
            still = getattr(image, "n_frames", 1) == 1
        assert still or sum(durations(file.path)) == 1000


def test_an_mp4_says_what_its_colours_mean_and_starts_at_once(tmp_path: Path) -> None:
    for name, chroma in (("mp4", "yuv420p"), ("mp4-444", "yuv444p")):
        file = written(name, frames_of(3, 32, 32), tmp_path)
        with av.open(str(file.path)) as container:
            context = container.streams.video[0].codec_context
            assert context.pix_fmt == chroma
            bt709, limited_range = 1, 1
            assert context.colorspace == context.color_primaries == context.color_trc == bt709
            assert context.color_range == limited_range
        content = file.path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("mp4", "h264"), ("webm", "vp9"), ("av1", "av1"), ("prores", "prores"), ("ffv1", "ffv1")],
)
def test_codecs(tmp_path: Path, name: str, codec: str) -> None:
    if FORMATS[name].problem():
        pytest.skip("no AV1 encoder")
    file = written(name, frames_of(2, 32, 32), tmp_path)
    with av.open(str(file.path)) as container:
        assert codec in container.streams.video[0].codec_context.name.replace("libdav1d", "av1")


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduler to ask")
@needs_av1
def test_a_process_has_the_priority_it_had(tmp_path: Path) -> None:
    """SVT-AV1 makes that of root real-time, so that everything else waits."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    written("av1", frames_of(2, 32, 32), tmp_path)
    assert (os.sched_getscheduler(0), os.sched_getparam(0)) == before


@pytest.mark.parametrize("name", EVERY)
def test_names_that_are_no_utf8(tmp_path: Path, name: str) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 %03d:")
    folder.mkdir()
    file = written(name, frames_of(2, 16, 16), folder)
    assert file.path.exists()
    assert [path.name for path in folder.iterdir()] == [file.path.name]


def test_several_formats_at_once(tmp_path: Path) -> None:
    formats: Sequence[FilmFormat] = [FORMATS[n] for n in FORMATS if not FORMATS[n].problem()]
    done = write_films(frames_of(3, 16, 16), tmp_path, formats, plain(), stem="film")
    assert [file.format for file in done] == list(formats)
    assert len(list(tmp_path.iterdir())) == len(formats)


def test_frames_are_enlarged(tmp_path: Path) -> None:
    small = frames_of(2, 48, 32, channels=4)
    for upscale, size in (
        (Lanczos(2), (64, 96)),
        (LanczosToHeight(100), (96, 144)),
        (LanczosToHeight(48), (32, 48)),
        (lambda x: torch.nn.functional.interpolate(x, scale_factor=1.5), (48, 72)),
    ):
        file = written("ffv1", small, tmp_path, plain(upscale=upscale))
        assert file.size == size
        got = read(file).frames
        assert got.shape[2:] == size[::-1]
        assert (got[:, :3].mean((2, 3)) - small[:, :3].mean((2, 3))).abs().max() < 0.01


def test_enlarging_does_not_bleed_what_is_transparent() -> None:
    frames = torch.zeros(1, 4, 8, 8)
    frames[:, 0] = 1  # red, opaque on the left; green, transparent on the right
    frames[:, 3, :, :4] = 1
    frames[:, :3, :, 4:] = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None]
    larger = Lanczos(4)(frames)
    seen = larger[:, 3] > 0.1
    assert larger[:, 1][seen].max() < 0.02


@pytest.mark.parametrize(
    ("upscale", "message"),
    [
        (lambda x: x[:1], "returned .*; expected as many frames"),
        (lambda x: x[:, :2], "expected as many frames with as many channels"),
        (lambda x: None, "returned NoneType"),
        (lambda x: x * torch.nan, "not finite"),
    ],
)
def test_an_upscaler_that_returns_no_frames_is_told(
    tmp_path: Path, upscale: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        written("png", frames_of(2, 16, 16), tmp_path, plain(upscale=upscale))


def test_frames_that_are_none_are_refused(tmp_path: Path) -> None:
    for frames in (
        torch.rand(2, 1, 16, 16),
        torch.rand(0, 3, 16, 16),
        255 * torch.rand(2, 3, 16, 16),
        torch.full((2, 3, 16, 16), torch.nan),
    ):
        with pytest.raises(ValueError, match="morph: "):
            write_films(frames, tmp_path, [FORMATS["png"]], plain())
    with pytest.raises(ValueError, match="no film format"):
        write_films(frames_of(2, 16, 16), tmp_path, [])
    with pytest.raises(ValueError, match="two formats for one file"):
        write_films(frames_of(2, 16, 16), tmp_path, [FORMATS["gif"], FORMATS["gif"]])


def test_formats_are_named_only_at_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no film format 'avi'; there are mp4, "):
        film_format("avi")
    monkeypatch.setattr(
        "diffusion_geodesics.reporting._encoding.Encoder.is_there", property(lambda self: False)
    )
    with pytest.raises(ValueError, match="av1 cannot be written: this build of FFmpeg has no"):
        film_format("av1")
    with pytest.raises(ValueError, match=r"morph.av1.mp4 cannot be written"):
        write_films(frames_of(2, 16, 16), Path(), [films.FORMATS["av1"]])
