"""Opening video files: names of every kind, and nothing but the file that was named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from diffusion_geodesics.clips import ClipError, Reading, VideoClip, open_clip
from tests.clips.films import Coding, as_bytes, film, ramp, same, times


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clips") / "ramp.mp4", as_bytes(ramp()))


def refusal(path: str | Path) -> str:
    with pytest.raises(ClipError) as caught:
        list(open_clip(path).frames(Reading(), same))
    message = str(caught.value)
    message.encode("utf-8")
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    "raw",
    [
        b"2024-05-01T12:30:45.mp4",
        b"file:a.mp4",
        b"http:a.mp4",
        b"concat:a.mp4|b.mp4",
        b"frame%03d.mp4",
        b"caf\xe9.mp4",
        "café 猫.mp4".encode(),
        b"two\nlines.mp4",
        b"-i.mp4",
        b"cat [draft].mp4",
        b"no suffix",
    ],
)
def test_any_name_of_a_file_is_read(mp4: Path, tmp_path: Path, raw: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw))
    shutil.copy(mp4, path)
    clip = open_clip(path)
    assert len(times(clip)) == 12
    clip.name.encode("utf-8")
    assert len(clip.name.splitlines()) == 1


def test_names_are_taken_from_the_working_and_the_home_directory(
    mp4: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(mp4, tmp_path / "12:30.mp4")
    shutil.copy(mp4, tmp_path / "~tmp-of-nobody.mp4")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("12:30.mp4", "~/12:30.mp4", "~tmp-of-nobody.mp4"):
        assert open_clip(name).count == 12


@pytest.mark.whole
def test_names_are_read_and_shown_under_the_posix_locale(mp4: Path, tmp_path: Path) -> None:
    paths = [os.fsencode(tmp_path) + b"/" + n for n in (b"caf\xe9.mp4", "é猫.mp4".encode())]
    for path in paths:
        shutil.copy(mp4, os.fsdecode(path))
    code = "import sys; from diffusion_geodesics.clips import open_clip as o; "
    code += "[print(o(a).name, o(a).count) for a in sys.argv[1:]]"
    environment = {**os.environ, "LC_ALL": "POSIX"}
    environment.pop("PYTHONIOENCODING", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [b"caf\\xe9.mp4 12", "é猫.mp4 12".encode()]


@pytest.mark.parametrize("prefix", ["concat:", "file:", "crypto:", "subfile,,start,0,end,0,,:"])
def test_protocols_never_reach_the_reader(mp4: Path, prefix: str) -> None:
    assert "does not exist" in refusal(f"{prefix}{mp4}")


def test_addresses_are_not_fetched() -> None:
    assert "does not exist" in refusal("http://127.0.0.1:9/a.mp4")
    assert "does not exist" in refusal("data:video/mp4;base64,AAAA")


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {name}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\n{name}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>{name}</MPD>",
    ],
)
def test_a_file_that_names_another_is_not_followed(mp4: Path, tmp_path: Path, text: str) -> None:
    shutil.copy(mp4, tmp_path / "other.ts")
    path = tmp_path / "list.mp4"
    path.write_text(text.format(name="other.ts"))
    assert "cannot be read as a video" in refusal(path)


def test_a_name_with_a_pattern_is_one_file(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"a{k}.jp2").write_bytes(b"secret")
    path = tmp_path / "a%d.jp2"
    path.write_bytes(b"no picture")
    assert "cannot be read as a video" in refusal(path)


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
    assert VideoClip(path, stream=1).size == (64, 64)
    assert VideoClip(path, stream=0).size == (32, 32)
    assert any("of 2" in note for note in VideoClip(path).notes)
    with pytest.raises(ClipError, match="2 video streams"):
        VideoClip(path, stream=2)


def test_a_codec_that_is_not_known_is_said(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", as_bytes(ramp()), Coding("ffv1"))
    path.write_bytes(path.read_bytes().replace(b"V_FFV1", b"V_FFVX"))
    assert "in a way that cannot be read" in refusal(path)


def test_frames_that_are_too_large_are_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", as_bytes(ramp()), Coding("libvpx", options={"g": "1"}))
    data = bytearray(path.read_bytes())
    for at in range(len(data) - 7):  # the size in each frame: 32 x 48 becomes 16000 x 16000
        if data[at : at + 7] == b"\x9d\x01\x2a\x30\x00\x20\x00":
            data[at + 3 : at + 7] = b"\x80\x3e\x80\x3e"
    path.write_bytes(data)
    assert "damaged" in refusal(path)
