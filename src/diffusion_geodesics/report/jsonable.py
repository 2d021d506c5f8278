"""JSON that every reader accepts: sorted keys, `null` for numbers that are not finite."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

import numpy as np
from torch import Tensor


def to_json(value: object) -> str:
    """JSON text of mappings, sequences, numbers, strings, paths, enums, tensors and arrays.

    Keys are sorted and numbers that are not finite become `null`, so equal values give equal text.

    Raises:
        TypeError: a value of another kind, named by where it is.
    """
    return json.dumps(_plain(value, "result"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(value: object, where: str) -> object:
    match value:
        case Enum():
            return _plain(value.value, where)
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case Path():
            return str(value)
        case Tensor():
            return _plain(value.detach().cpu().tolist(), where)
        case np.ndarray() | np.generic():
            return _plain(value.tolist(), where)
        case Mapping():
            return {_key(key, where): _plain(item, f"{where}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
        case _:
            raise TypeError(
                f"{where} is a {type(value).__name__}, which JSON cannot hold; "
                "give numbers, strings, lists, mappings or tensors"
            )


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}; keys must be strings")
    return key
