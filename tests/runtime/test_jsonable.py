"""JSON that every reader accepts."""

from __future__ import annotations

import enum
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion_geodesics.runtime import jsonable
from diffusion_geodesics.runtime.jsonable import to_json, unicode_text


class Result(enum.Enum):
    DONE = "converged"


def test_keys_are_sorted_and_order_of_writing_does_not_matter() -> None:
    assert to_json({"b": 1, "a": {"d": 2, "c": 3}}) == to_json({"a": {"c": 3, "d": 2}, "b": 1})
    assert list(json.loads(to_json({"b": 1, "a": 2}))) == ["a", "b"]


def test_numbers_that_are_not_finite_become_null() -> None:
    values = [math.nan, math.inf, -math.inf, np.float32(math.nan), torch.tensor([1.0, math.inf])]
    assert json.loads(to_json(values)) == [None, None, None, None, [1.0, None]]


def test_tensors_arrays_paths_and_enums_become_plain() -> None:
    value = {
        "tensor": torch.arange(3),
        "scalar": torch.tensor(0.5),
        "array": np.eye(2),
        "number": np.int64(7),
        "path": Path("a") / "b",
        "enum": Result.DONE,
        "tuple": (1, "zwei", None, True),
    }
    assert json.loads(to_json(value)) == {
        "tensor": [0, 1, 2],
        "scalar": 0.5,
        "array": [[1.0, 0.0], [0.0, 1.0]],
        "number": 7,
        "path": str(Path("a") / "b"),
        "enum": "converged",
        "tuple": [1, "zwei", None, True],
    }


def test_floats_come_back_exactly() -> None:
    values = torch.rand(100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert json.loads(to_json(values)) == values.tolist()


def test_what_json_cannot_hold_is_named_by_its_place() -> None:
    with pytest.raises(TypeError, match=r"result\.cost\[1\] is a object"):
        to_json({"cost": [1, object()]})
    with pytest.raises(TypeError, match="key 3"):
        to_json({3: 1})


def test_names_that_are_no_utf8_are_written_as_their_bytes() -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9.png")
    text = to_json({"path": Path(name), name: name})
    text.encode()  # would raise where a surrogate was left
    assert json.loads(text) == {"path": "caf\\xe9 é.png", "caf\\xe9 é.png": "caf\\xe9 é.png"}
    assert unicode_text("fine → 漢字") == "fine → 漢字"
    assert unicode_text("\ud800") == "\\ud800"


def test_neither_torch_nor_numpy_is_imported_for_it() -> None:
    program = (
        "import sys, importlib.util; "
        f"spec = importlib.util.spec_from_file_location('jsonable', {jsonable.__file__!r}); "
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); "
        "print(module.to_json([1, 2.5]), {'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("set()")
