"""Videos, read back."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from diffusion_geodesics.report import Gif, Mp4, Video, VideoFormat, WebM, WebP

PLAIN = Video(fps=8, hold=1, there_and_back=False, least_height=1)


def flat_frames(n: int, height: int, width: int) -> torch.Tensor:
    colours = torch.rand(n, 3, 1, 1, generator=torch.Generator().manual_seed(1))
    return colours.expand(n, 3, height, width)


def with_format(video: Video, kind: VideoFormat) -> Video:
    return Video(video.fps, video.hold, video.there_and_back, video.least_height, (kind,))


def read(path: Path) -> tuple[list[np.ndarray], float, str]:
    """Frames in RGB, frames a second, codec."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate is not None
        return frames, float(stream.average_rate), stream.codec_context.name


@pytest.mark.parametrize(("kind", "codec"), [(Mp4(), "h264"), (WebM(), "vp9")])
@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_count_rate_size_and_colours_survive(
    tmp_path: Path, kind: VideoFormat, codec: str, size: tuple[int, int]
) -> None:
    frames = flat_frames(7, *size)
    (path,) = with_format(PLAIN, kind).write(frames, tmp_path)
    shown, rate, name = read(path)
    assert path.name == f"morph{kind.suffix}"
    assert name.endswith(codec)
    assert rate == 8
    assert len(shown) == 7
    for got, expected in zip(shown, frames, strict=True):
        assert got.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
        difference = got / 255 - expected[:, :1, :1].permute(1, 2, 0).numpy()
        assert np.abs(difference).max() < 0.03


def test_an_mp4_says_what_its_colours_mean_and_plays_everywhere(tmp_path: Path) -> None:
    (path,) = PLAIN.write(flat_frames(3, 32, 32), tmp_path)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt == "yuv420p"
        bt709, limited_range = 1, 1
        assert context.colorspace == context.color_primaries == context.color_trc == bt709
        assert context.color_range == limited_range
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")  # starts at once


@pytest.mark.parametrize("kind", [Mp4(), WebM(), Gif(), WebP()])
def test_the_same_film_gives_the_same_bytes(tmp_path: Path, kind: VideoFormat) -> None:
    frames = torch.rand(5, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    video = with_format(PLAIN, kind)
    (first,) = video.write(frames, tmp_path, "first")
    (second,) = video.write(frames, tmp_path, "second")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("kind", [Gif(), WebP()])
def test_animated_images_have_all_frames_and_loop(tmp_path: Path, kind: VideoFormat) -> None:
    frames = flat_frames(6, 20, 30)
    (path,) = with_format(Video(fps=10, hold=1, there_and_back=False, least_height=1), kind).write(
        frames, tmp_path
    )
    with Image.open(path) as image:
        assert image.size == (30, 20)
        assert getattr(image, "n_frames", 1) == 6
        assert image.info["loop"] == 0
        for i, expected in enumerate(frames):
            image.seek(i)
            got = np.asarray(image.convert("RGB")) / 255
            assert np.abs(got - expected.permute(1, 2, 0).numpy()).max() < 0.03
            assert image.info["duration"] == 100


def test_small_frames_are_enlarged_by_a_whole_factor(tmp_path: Path) -> None:
    (path,) = Video(least_height=100).write(flat_frames(2, 48, 32), tmp_path)
    assert read(path)[0][0].shape == (144, 96, 3)


def test_the_ends_are_held_and_the_way_back_follows() -> None:
    assert Video(hold=2).sequence(4) == [0, 0, 1, 2, 3, 3, 2, 1]
    assert Video(hold=2, there_and_back=False).sequence(4) == [0, 0, 1, 2, 3, 3]
    assert Video(hold=1).sequence(2) == [0, 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fps": 0}, "fps must be 1 to 120, got 0"),
        ({"hold": 0}, "hold"),
        ({"least_height": 0}, "least_height"),
        ({"formats": ()}, "no video format"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Video(**settings)
