"""Reading clips: which frames, in what colours and order, and one clear line for what is none."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from diffusion_geodesics.clips import (
    Clip,
    ClipError,
    CutRule,
    FrameNumber,
    Reading,
    Seconds,
    TensorClip,
    open_clip,
    shots,
)
from diffusion_geodesics.framing import fit
from training.clips import Law, Motion, make_clip, moments, write_mp4

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "clips"


def ramp(n: int = 12, height: int = 32, width: int = 48) -> Tensor:
    """Frames of a brightness that rises by the frame, brighter on the left."""
    level = torch.linspace(0.1, 0.7, n)[:, None, None, None]
    across = torch.linspace(0.2, 0.0, width)[None, None, None]
    return (level + across).expand(n, 3, height, width).clamp(0, 1)


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "ramp.mp4"
    write_mp4(ramp(), path, fps=10)
    return path


def same(image: Tensor) -> Tensor:
    return image


def read(clip: Clip, **reading: object) -> list[int]:
    return [f.index for f in clip.frames(Reading(**reading), same)]  # type: ignore[arg-type]


def test_a_video_comes_back_as_it_was(mp4: Path) -> None:
    clip = open_clip(mp4)
    frames = list(clip.frames(Reading(), same))
    assert (clip.size, clip.rate, clip.count) == ((32, 48), 10.0, 12)
    images = torch.stack([f.image for f in frames])
    assert float((images - ramp()).abs().mean()) < 0.02
    assert [f.time for f in frames] == pytest.approx([i / 10 for i in range(12)])


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading(stride=5), [0, 5, 10]),
        (Reading(start=FrameNumber(3), end=FrameNumber(6)), [3, 4, 5]),
        (Reading(start=Seconds(0.5), end=Seconds(0.8)), [5, 6, 7]),
        (Reading(fps=5), [0, 2, 4, 6, 8, 10]),
        (Reading(fps=4, stride=2, start=FrameNumber(1)), [1, 6, 11]),
    ],
)
def test_only_the_frames_that_are_wanted(mp4: Path, reading: Reading, expected: list[int]) -> None:
    clips = open_clip(mp4), TensorClip(ramp(), "ramp", 10.0)
    for clip in clips:
        assert [f.index for f in clip.frames(reading, same)] == expected
        assert clip.expected(reading) == pytest.approx(len(expected), abs=1)


def test_folders_are_in_natural_order_and_animations_keep_their_times(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, image in enumerate(ramp(11)):
        pixels = (image.permute(1, 2, 0) * 255).byte().numpy()
        Image.fromarray(pixels).save(folder / f"f{i}.png")
    (folder / "notes.txt").write_text("no picture")
    clip = open_clip(folder, folder_rate=20)
    means = [float(f.image.mean()) for f in clip.frames(Reading(), same)]
    assert means == sorted(means)
    assert len(means) == 11
    stills = [Image.open(folder / f"f{i}.png") for i in range(4)]
    stills[0].save(
        tmp_path / "a.gif", save_all=True, append_images=stills[1:], duration=[100, 200, 50, 50]
    )
    animation = open_clip(tmp_path / "a.gif")
    times = [f.time for f in animation.frames(Reading(), same)]
    assert times == pytest.approx([0.0, 0.1, 0.3, 0.35])


def test_a_turned_video_is_put_upright(mp4: Path, tmp_path: Path) -> None:
    data = bytearray(mp4.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix
    one = 0x10000
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 0x40000000)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    clip = open_clip(turned)
    assert clip.size == (48, 32)
    image = next(iter(clip.frames(Reading(), same))).image
    # A quarter turn clockwise for display: what was on the left is on top.
    assert float(image[:, :8].mean()) > float(image[:, -8:].mean()) + 0.05


def test_of_several_streams_the_longest(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=10) for _ in range(2)]
        shapes = (3, 32), (9, 64)
        for stream, (_, edge) in zip(streams, shapes, strict=True):
            stream.width = stream.height = edge  # type: ignore[union-attr]
            stream.pix_fmt = "yuv420p"  # type: ignore[union-attr]
        for stream, (count, edge) in zip(streams, shapes, strict=True):
            for i in range(count):
                pixels = np.full((edge, edge, 3), 20 * i, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))  # type: ignore[union-attr]
            container.mux(stream.encode(None))  # type: ignore[union-attr]
    assert open_clip(path, stream=1).size == (64, 64)
    assert open_clip(path, stream=0).size == (32, 32)
    assert any("of 2" in note for note in open_clip(path).notes)
    with pytest.raises(ClipError, match="2 video streams"):
        open_clip(path, stream=2)


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


def bad_files(mp4: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    whole = mp4.read_bytes()
    found = {
        "absent": (folder / "none.mp4", "does not exist"),
        "empty": (folder / "empty.mp4", "is empty"),
        "sound": (sound(folder / "sound.mp4"), "sound only"),
        "text": (folder / "text.mp4", "video"),
        "half": (folder / "half.mp4", "cut short|damaged"),
        "headless": (folder / "headless.mp4", "cut short|damaged"),
        "one": (folder / "one.mp4", "single frame"),
        "still": (folder / "still.jpg", "still image"),
        "still gif": (folder / "still.gif", "still image"),
        "folder": (folder / "nothing", "no pictures"),
    }
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video at all\n" * 40)
    (folder / "half.mp4").write_bytes(whole[: int(0.75 * len(whole))])
    (folder / "headless.mp4").write_bytes(whole[: len(whole) // 10])
    Image.new("RGB", (32, 32)).save(folder / "still.jpg")
    Image.new("RGB", (32, 32)).save(folder / "still.gif")
    (folder / "nothing").mkdir()
    with av.open(str(folder / "one.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32  # type: ignore[union-attr]
        stream.pix_fmt = "yuv420p"  # type: ignore[union-attr]
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))  # type: ignore[union-attr]
        container.mux(stream.encode(None))  # type: ignore[union-attr]
    return found


def test_one_clear_line_for_what_is_no_clip(mp4: Path, tmp_path: Path) -> None:
    for name, (path, expected) in bad_files(mp4, tmp_path).items():
        with pytest.raises(ClipError, match=expected) as caught:
            list(open_clip(path).frames(Reading(), same))
        assert "\n" not in str(caught.value), name
        assert path.name in str(caught.value), name


def test_bad_wishes(mp4: Path) -> None:
    clip = open_clip(mp4)
    with pytest.raises(ClipError, match="cannot be made up"):
        read(clip, fps=50)
    with pytest.raises(ValueError, match="stride"):
        Reading(stride=0)
    with pytest.raises(ValueError, match="fps"):
        Reading(fps=-1)
    with pytest.raises(ValueError, match="seconds"):
        Seconds(-1)
    with pytest.raises(ClipError, match="pixels"):
        TensorClip(torch.zeros(4, 3, 8, 8))


def cuts(images: Tensor) -> list[int]:
    stream = TensorClip(images).frames(Reading(), same)
    return [s.frame.index for s in shots(stream, CutRule()) if s.cut]


def test_cuts_are_found_and_motion_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(1, 3, 64, 64, generator=generator) * 0.5
    second = 1 - 0.3 * torch.rand(1, 3, 64, 64, generator=generator)
    still = torch.cat([first.expand(10, -1, -1, -1), second.expand(9, -1, -1, -1)])
    assert cuts(still) == [10]
    assert cuts(torch.cat([still, first.expand(3, -1, -1, -1)])) == [10, 19]
    fade = torch.lerp(first, second, torch.linspace(0, 1, 12)[:, None, None, None])
    assert cuts(fade) == []
    moving = torch.stack([first[0].roll(6 * i, 2) for i in range(20)])
    assert cuts(moving) == []
    assert [s.cut for s in shots(TensorClip(still).frames(Reading(), same), None)] == [False] * 19


def test_rendered_clips_know_the_truth_in_between() -> None:
    clip = make_clip(0, Motion.TURN, Law.JERKY, frames=5)
    images = clip.images(32)
    torch.testing.assert_close(clip.truth(torch.tensor([0.0, 2.0, 4.0]), 32), images[[0, 2, 4]])
    half = clip.factors(0.5 * (clip.moments[1:2] + clip.moments[2:3])).yaw
    assert float(clip.factors(clip.moments).yaw[1]) < float(half)
    for law in Law:
        at = moments(law, 9)
        assert bool((at.diff() > 0).all())
    assert float(moments(Law.SLOW, 9)[-1] - moments(Law.SLOW, 9)[0]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="at least 2"):
        moments(Law.FAST, 1)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared clips are not here")
def test_the_one_cut_of_the_shared_clips() -> None:
    found: dict[str, list[int]] = {}
    for path in sorted(SHARED.glob("*.mp4")):
        frames = open_clip(path).frames(Reading(), lambda x: fit(x, 64, 64).image)
        found[path.name] = [s.frame.index for s in shots(frames, CutRule()) if s.cut]
    assert {name: at for name, at in found.items() if at} == {"torchcodec_nasa_13013.mp4": [240]}
