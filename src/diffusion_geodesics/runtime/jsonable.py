"""JSON that every reader accepts: sorted keys, ``null`` for numbers that are not finite."""

import json
import math
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, cast


def to_json(value: object) -> str:
    """JSON text of mappings, sequences, numbers, text, paths, enums, tensors and arrays.

    Keys are sorted and numbers that are not finite become ``null``, so equal values give equal
    text. Bytes of file names that are no UTF-8 are written as ``\\xHH``; see `unicode_text`.
    """
    return json.dumps(_plain(value, "result"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def unicode_text(text: str) -> str:
    r"""Text that can be encoded in UTF-8.

    File names may hold bytes that are no UTF-8, which Python represents by lone surrogates. Each
    becomes ``\xHH``, and any other lone surrogate ``\udHHH``.
    """
    try:
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "backslashreplace")
    return encoded.decode("utf-8", "backslashreplace")


def _plain(value: object, where: str) -> object:
    match value:
        case Enum():
            return _plain(value.value, where)
        case None | bool():
            return value
        case str():
            return unicode_text(value)
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case Path():
            return unicode_text(str(value))
        case Mapping():
            return {_key(key, where): _plain(item, f"{where}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
        case _ if _is_array(value):
            array = cast("Any", value)
            return _plain((array.detach() if hasattr(array, "detach") else array).tolist(), where)
        case _:
            raise TypeError(
                f"{where} is a {type(value).__name__}, which JSON cannot hold; "
                "give numbers, text, lists, mappings or tensors"
            )


def _is_array(value: object) -> bool:
    """Whether it is a tensor or a NumPy value; neither library is imported for the question."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return True
    return numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}; keys must be strings")
    return unicode_text(key)
