"""Arrays and tensors as pictures: types, shapes and ranges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.images import ImageError, load_image, read_image
from tests.images.samples import EDGE, WIDTH, gradient


def refusal(source: object) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source)
    message = str(caught.value)
    assert "\n" not in message
    assert "expected" in message or ";" in message
    return message


def expected() -> torch.Tensor:
    return torch.from_numpy(gradient().transpose(2, 0, 1).astype(np.float32) / 255)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, ">u2", np.float16, np.float32, np.float64, ">f8", np.longdouble]
)
def test_arrays_of_every_type_are_the_same_picture(dtype: str) -> None:
    kind = np.dtype(dtype)
    array = gradient()
    if kind.kind == "f":
        array = (array / 255).astype(kind)
    elif kind.itemsize == 2:
        array = (array.astype(kind) * 257).astype(kind)
    picture = read_image(array)
    torch.testing.assert_close(picture.pixels, expected(), atol=5e-4, rtol=0)
    assert picture.pixels.dtype == torch.float32
    assert (picture.name, picture.notes, picture.alpha) == ("array", (), None)


@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64],
)
def test_tensors_of_every_type_are_the_same_picture(dtype: torch.dtype) -> None:
    values = torch.from_numpy(gradient().transpose(2, 0, 1).astype(np.int32))
    if dtype == torch.uint16:
        tensor = (values * 257).to(dtype)
    else:
        tensor = values.to(dtype) if dtype == torch.uint8 else (values.double() / 255).to(dtype)
    picture = read_image(tensor)
    torch.testing.assert_close(picture.pixels, expected(), atol=4e-3, rtol=0)
    assert (picture.name, picture.notes) == ("tensor", ())


def test_gray_and_transparent_arrays_and_tensors() -> None:
    rgba = gradient(channels=4)
    for array in (rgba[..., 0], rgba[..., :1]):
        gray = read_image(array)
        assert torch.equal(
            gray.pixels, torch.from_numpy(rgba[..., 0] / np.float32(255)).expand(3, -1, -1)
        )
    picture = read_image(rgba)
    assert picture.alpha is not None
    assert torch.equal(picture.alpha, torch.from_numpy(rgba[..., 3] / np.float32(255)))
    tensor = torch.from_numpy(rgba.transpose(2, 0, 1).copy())
    assert torch.equal(read_image(tensor[0]).pixels, read_image(rgba[..., 0]).pixels)
    assert torch.equal(read_image(tensor[:1]).pixels, read_image(rgba[..., 0]).pixels)
    assert torch.equal(load_image(tensor, 0.5), load_image(rgba, 0.5))


def test_a_picture_has_memory_of_its_own() -> None:
    array = np.full((EDGE, WIDTH, 3), 0.5, dtype=np.float32)
    tensor = torch.full((3, EDGE, WIDTH), 0.5, requires_grad=True)
    pictures = read_image(array), read_image(tensor), read_image(array[::-1, ::-1])
    array[:] = 0.0
    with torch.no_grad():
        tensor.zero_()
    for picture in pictures:
        assert float(picture.pixels.min()) == 0.5
        assert not picture.pixels.requires_grad


@given(st.floats(-9e-6, 1.000009))
def test_what_rounding_leaves_beyond_the_range_is_clipped(value: float) -> None:
    image = load_image(torch.full((3, EDGE, WIDTH), value))
    assert 0.0 <= float(image.min()) <= float(image.max()) <= 1.0


@pytest.mark.parametrize(
    ("low", "high", "remedy"),
    [
        (0.0, 255.0, "divide by 255"),
        (-1.0, 1.0, "0.5 * x + 0.5"),
        (0.0, 1.001, "divide by 255"),
        (-0.01, 0.5, "[-1, 1]"),
        (-300.0, 9.0, "bring them"),
        (0.0, 1e30, "bring them"),
    ],
)
def test_floats_out_of_range_are_refused(low: float, high: float, remedy: str) -> None:
    array = np.linspace(low, high, EDGE * WIDTH * 3).reshape(EDGE, WIDTH, 3)
    tensor = torch.from_numpy(array.transpose(2, 0, 1).copy())
    for source in (array, array.astype(np.float32), tensor, tensor.float()):
        message = refusal(source)
        assert "expected floats in [0, 1]" in message
        assert remedy in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    array = np.full((EDGE, WIDTH, 3), 0.5)
    array[3, 4, 1] = value
    assert "not finite" in refusal(array)
    assert "not finite" in refusal(torch.from_numpy(array.transpose(2, 0, 1).copy()))


@pytest.mark.parametrize(
    "dtype", ["i1", "i2", "i4", "i8", "u4", "u8", "c8", "c16", "?", "O", "S1", "M8[s]"]
)
def test_arrays_of_other_types_are_refused(dtype: str) -> None:
    message = refusal(np.zeros((EDGE, WIDTH, 3), dtype=dtype))
    assert "expected uint8, uint16 or floats" in message
    assert ("modulus" in message) == dtype.startswith("c")


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.complex64]
)
def test_tensors_of_other_types_are_refused(dtype: torch.dtype) -> None:
    assert "expected uint8, uint16 or floats" in refusal(torch.zeros(3, EDGE, WIDTH, dtype=dtype))


def test_tensors_without_values_are_refused() -> None:
    assert "meta" in refusal(torch.zeros(3, EDGE, WIDTH, device="meta"))
    assert "sparse" in refusal(torch.zeros(3, EDGE, WIDTH).to_sparse())
    assert "masked" in refusal(np.ma.zeros((EDGE, WIDTH, 3)))


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        ((3, EDGE, WIDTH), "channels first"),
        ((4, EDGE, WIDTH), "channels first"),
        ((1, EDGE, WIDTH, 3), "expected (height, width)"),
        ((EDGE, WIDTH, 2), "expected (height, width)"),
        ((EDGE, WIDTH, 5), "expected (height, width)"),
        ((EDGE,), "expected (height, width)"),
        ((), "expected (height, width)"),
        ((0, 0, 3), "0x0 pixels"),
        ((EDGE, 8, 3), "8x24 pixels"),
    ],
)
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...], word: str) -> None:
    assert word in refusal(np.zeros(shape))


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        ((EDGE, WIDTH, 3), "channels last"),
        ((EDGE, WIDTH, 4), "channels last"),
        ((1, 3, EDGE, WIDTH), "batch"),
        ((2, EDGE, WIDTH), "expected (height, width)"),
        ((5, EDGE, WIDTH), "expected (height, width)"),
        ((EDGE,), "expected (height, width)"),
        ((3, EDGE, 15), "15x24 pixels"),
    ],
)
def test_tensors_of_other_shapes_are_refused(shape: tuple[int, ...], word: str) -> None:
    assert word in refusal(torch.zeros(shape))


def test_bytes_of_nought_and_one_are_said() -> None:
    mask = np.eye(EDGE, dtype=np.uint8)
    assert any("all but black" in note for note in read_image(mask).notes)
    assert read_image(np.zeros((EDGE, EDGE), dtype=np.uint8)).notes == ()


def test_huge_tensors_are_scaled_down_as_files_are() -> None:
    picture = read_image(torch.full((3, 20, 5000), 0.25))
    assert picture.pixels.shape == (3, 16, 4096)
    torch.testing.assert_close(picture.pixels, torch.full((3, 16, 4096), 0.25))
    assert picture.notes == ("scaled down from 5000x20 to 4096x16",)


@pytest.mark.parametrize("source", [None, 3, 0.5, [[0.0]], (1, 2), b"a.png", {"a": 1}, object()])
def test_other_objects_are_refused(source: object) -> None:
    message = refusal(source)
    assert type(source).__name__ in message
    assert "expected a path, a Pillow image, a numpy array" in message
