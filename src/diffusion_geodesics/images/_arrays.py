"""Numpy arrays and torch tensors as pictures: types, shapes and ranges are checked."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.images.limits import check_edges, shrunk_size
from diffusion_geodesics.images.picture import ImageError, Picture

_ROUNDING = 1e-5
"""How far a float may lie beyond [0, 1]: what resampling in single precision leaves."""
_LARGEST = {torch.uint8: 255, torch.uint16: 65535}  # value that means full intensity, by type
_EXPECTED_ARRAY = "(height, width), (height, width, 1), (height, width, 3) or (height, width, 4)"
_EXPECTED_TENSOR = "(height, width), (1, height, width), (3, height, width) or (4, height, width)"


def read_array(array: np.ndarray) -> Picture:
    """The picture in an array, channels last."""
    if isinstance(array, np.ma.MaskedArray):
        raise ImageError("got a masked array for an image; fill what is masked, .filled(0)")
    native = array.dtype.newbyteorder("=")
    if native not in (np.uint8, np.uint16) and native.kind != "f":
        raise _wrong_type(f"array of {array.dtype}", native.kind == "c")
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        raise ImageError(
            f"got an image array of shape {array.shape}, channels first; expected "
            f"{_EXPECTED_ARRAY}: give array.transpose(1, 2, 0)"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"got an image array of shape {array.shape}; expected {_EXPECTED_ARRAY}")
    if native.itemsize > 8:  # extended precision, which torch does not have
        native = np.dtype(np.float64)
    layers = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return _checked(torch.from_numpy(np.array(layers, dtype=native, order="C")), "array")


def read_tensor(tensor: Tensor) -> Picture:
    """The picture in a tensor, channels first."""
    shape = tuple(tensor.shape)
    if tensor.dtype not in _LARGEST and not tensor.is_floating_point():
        raise _wrong_type(f"tensor of {tensor.dtype}", tensor.is_complex())
    if tensor.is_meta or tensor.layout != torch.strided:
        raise ImageError(
            f"got an image tensor on {tensor.device} of layout {tensor.layout}; expected a dense "
            "one that holds values"
        )
    if tensor.ndim == 4:
        got = f"got a batch of images of shape {shape}"
        raise ImageError(f"{got}; expected {_EXPECTED_TENSOR}: give one, tensor[0]")
    if tensor.ndim == 3 and shape[0] not in (1, 3, 4) and shape[2] in (1, 3, 4):
        raise ImageError(
            f"got an image tensor of shape {shape}, channels last; expected {_EXPECTED_TENSOR}: "
            "give tensor.permute(2, 0, 1)"
        )
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and shape[0] not in (1, 3, 4)):
        raise ImageError(f"got an image tensor of shape {shape}; expected {_EXPECTED_TENSOR}")
    layers = tensor.detach().to("cpu", copy=True)
    return _checked(layers[None] if tensor.ndim == 2 else layers, "tensor")


def _wrong_type(what: str, complex: bool) -> ImageError:
    remedy = "make it uint8 if its values are 0 to 255, or divide by the largest value it can have"
    remedy = "take its real part or modulus" if complex else remedy
    return ImageError(f"got an image {what}; expected uint8, uint16 or floats in [0, 1]: {remedy}")


def _checked(layers: Tensor, kind: str) -> Picture:
    """The picture in layers (1, 3 or 4, height, width), which are ours."""
    height, width = layers.shape[1:]
    check_edges(f"the {kind}", width, height)
    notes: tuple[str, ...] = ()
    if layers.dtype in _LARGEST:
        values = layers.float()
        if float(values.max()) == 1.0:
            notes = (f"holds {layers.dtype} values of 0 and 1 only, which is all but black",)
        values /= _LARGEST[layers.dtype]
    else:
        values = _in_range(layers.float(), kind)
    if (size := shrunk_size(width, height)) != (width, height):
        notes = (*notes, f"scaled down from {width}x{height} to {size[0]}x{size[1]}")
        small = interpolate(values[None], size=size[::-1], mode="bicubic", antialias=True)
        values = small[0].clamp(0.0, 1.0)
    colours, alpha = (values[:3], values[3]) if len(values) == 4 else (values, None)
    if alpha is not None and float(alpha.min()) == 1.0:
        alpha = None
    return Picture(colours.expand(3, -1, -1).contiguous(), alpha, kind, notes)


def _in_range(values: Tensor, kind: str) -> Tensor:
    low, high = float(values.min()), float(values.max())
    if not bool(values.isfinite().all()):
        raise ImageError(f"the {kind} has values that are not finite; expected floats in [0, 1]")
    if low < -_ROUNDING or high > 1.0 + _ROUNDING:
        if low < 0.0 and low >= -1.0 - _ROUNDING and high <= 1.0 + _ROUNDING:
            remedy = "if they are in [-1, 1], give 0.5 * x + 0.5"
        elif low >= 0.0 and high <= 255.0:
            remedy = "if they are in [0, 255], divide by 255"
        else:
            remedy = "bring them to that range"
        got = f"the {kind} has values from {low:.4g} to {high:.4g}"
        raise ImageError(f"{got}; expected floats in [0, 1]: {remedy}")
    return values.clamp_(0.0, 1.0)
