"""A name for a result by what it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor


def content_key(*parts: object) -> str:
    """SHA-256 of values, as 64 hexadecimal digits: equal for equal values, else different.

    Tensors and arrays count by shape, type and content, dataclasses and pydantic models by class
    and fields, mappings in any order. A path is refused: give the bytes of the file.
    """
    digest = hashlib.sha256()
    for piece in _pieces(parts):
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()


def _pieces(value: object) -> list[bytes | memoryview]:
    """The value as a sequence of byte strings from which it could be told from any other."""
    if isinstance(value, Enum):
        return [f"enum {type(value).__qualname__}.{value.name}".encode()]
    if value is None or isinstance(value, bool | int | float | complex):
        return [f"{type(value).__name__} {value!r}".encode()]
    if isinstance(value, str):
        return [b"text", value.encode("utf-8", "surrogatepass")]
    if isinstance(value, bytes | bytearray):
        return [b"bytes", bytes(value)]
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            raise TypeError(f"got a mapping with keys {list(value)[:3]}; keys must be text")
        items = sorted(cast("Mapping[str, object]", value).items())
        return _joined(f"mapping {len(items)}", [part for item in items for part in item])
    if isinstance(value, tuple | list):
        return _joined(f"sequence {len(value)}", value)
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return _joined(type(value).__qualname__, [named])
    if hasattr(value, "model_dump"):
        dumped = cast("Any", value).model_dump(mode="json")
        return _joined(type(value).__qualname__, [dumped])
    return _array(value)


def _joined(kind: str, values: tuple[object, ...] | list[Any]) -> list[bytes | memoryview]:
    return [kind.encode(), *(piece for value in values for piece in _pieces(value))]


def _array(value: object) -> list[bytes | memoryview]:
    import numpy as np
    import torch

    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        return [f"array {array.dtype} {value.shape}".encode(), array.tobytes()]
    if isinstance(value, torch.Tensor):
        return [f"tensor {value.dtype} {tuple(value.shape)}".encode(), tensor_bytes(value)]
    raise TypeError(
        f"got a {type(value).__name__}, which has no content to be hashed; give numbers, text, "
        "bytes, tensors, dataclasses, or mappings and sequences of them"
    )


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The elements of a tensor in memory order, as bytes."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    flat = flat.as_strided(flat.shape, (1,))  # one element may have any stride
    return flat.view(torch.uint8).numpy().data
