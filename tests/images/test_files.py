"""Pictures in files: names of every kind, and what is no picture."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion_geodesics.images import ImageError, load_image, read_image
from tests.images.samples import EDGE, WIDTH, gradient, saved
from tests.images.test_decoding import chunk

FAULTS = Path(__file__).parents[2].parent / "shared" / "faults"


def refusal(source: str | Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source)
    message = str(caught.value)
    message.encode("utf-8")
    assert len(message.splitlines()) == 1
    return message


def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "missing.png")
    assert "does not exist" in refusal(tmp_path / "missing\n.png")
    assert "is a folder" in refusal(tmp_path)
    text = tmp_path / "text.png"
    text.write_text("not an image")
    assert "not an image" in refusal(text)
    assert "does not exist" in refusal(text / "below.png")
    empty = tmp_path / "empty.png"
    empty.touch()
    assert "not an image" in refusal(empty)
    assert "cannot be opened" in refusal(tmp_path / ("n" * 300 + ".png"))
    assert "\\x00" in refusal(str(tmp_path / "null\0.png"))
    os.mkfifo(tmp_path / "pipe.png")
    assert "a pipe" in refusal(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "cannot be opened" in refusal(tmp_path / "loop.png")


def test_no_other_program_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.eps"
    Image.fromarray(gradient()).save(path)
    assert "not an image that can be read" in refusal(path)


@pytest.mark.parametrize(
    "raw",
    [
        b"caf\xe9.png",
        "café 猫.png".encode(),
        b"two\nlines.png",
        b"cat [draft].png",
        b"a:b.png",
        b"-a",
    ],
)
def test_any_name_of_a_file_is_read(tmp_path: Path, raw: bytes) -> None:
    plain = saved(tmp_path, Image.fromarray(gradient()))
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw))
    shutil.copy(plain, path)
    picture = read_image(path)
    assert picture.pixels.shape == (3, EDGE, WIDTH)
    picture.name.encode("utf-8")
    assert len(picture.name.splitlines()) == 1
    assert torch.equal(load_image(str(path)), picture.pixels)


def test_names_are_read_and_shown_under_the_posix_locale(tmp_path: Path) -> None:
    plain = saved(tmp_path, Image.fromarray(gradient()))
    names = [b"caf\xe9.png", "é猫.png".encode()]
    paths = [os.fsencode(tmp_path) + b"/" + name for name in names]
    for path in paths:
        shutil.copy(plain, os.fsdecode(path))
    code = "import sys; from diffusion_geodesics.images import read_image as r; "
    code += "[print(r(a).name) for a in sys.argv[1:]]"
    environment = {**os.environ, "LC_ALL": "POSIX"}
    environment.pop("PYTHONIOENCODING", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert shown[0].endswith(b"/caf\\xe9.png")
    assert shown[1].endswith("/é猫.png".encode())


def test_the_home_directory_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, Image.fromarray(gradient()), "a.png")
    saved(tmp_path, Image.fromarray(gradient()), "~tmp-of-nobody.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert read_image("~/a.png").name == str(tmp_path / "a.png")
    assert read_image("~tmp-of-nobody.png").pixels.shape == (3, EDGE, WIDTH)


def test_files_are_closed_and_what_is_not_ours_stays_open(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(gradient()))
    load_image(path)  # an unclosed file is an error in these tests
    with Image.open(path) as image:
        load_image(image)
        assert np.asarray(image).shape == (EDGE, WIDTH, 3)


@pytest.mark.parametrize(("transfer", "word"), [(16, "PQ"), (18, "HLG")])
def test_pictures_of_high_dynamic_range_are_refused(
    tmp_path: Path, transfer: int, word: str
) -> None:
    path = saved(tmp_path, Image.fromarray(gradient()))
    data = path.read_bytes()
    coded = chunk(b"cICP", bytes([9, transfer, 0, 1]))
    path.write_bytes(data[:33] + coded + data[33:])
    assert f"high dynamic range ({word})" in refusal(path)
    path.write_bytes(data[:33] + chunk(b"cICP", bytes([1, 13, 0, 1])) + data[33:])
    assert read_image(path).pixels.shape == (3, EDGE, WIDTH)


def test_an_avif_of_high_dynamic_range_is_refused(tmp_path: Path) -> None:
    if ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow has no AVIF")
    path = saved(tmp_path, Image.fromarray(gradient()), "a.avif")
    assert read_image(path).pixels.shape == (3, EDGE, WIDTH)
    data = bytearray(path.read_bytes())
    at = data.index(b"colrnclx") + 10
    data[at : at + 2] = b"\0\x10"
    path.write_bytes(data)
    assert "high dynamic range (PQ)" in refusal(path)


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared faults are not here")
def test_the_faults_that_were_found() -> None:
    assert "damaged" in refusal(FAULTS / "damaged.avif")
    assert "damaged" in refusal(FAULTS / "truncated_index.gif")
    assert "megapixels" in refusal(FAULTS / "huge_frame.gif")
    assert read_image(FAULTS / "exif_struct.jpg").pixels.shape == (3, 24, 24)
