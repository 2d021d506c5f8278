"""Equal values have equal keys; values that differ in anything have different ones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from diffusion_geodesics.runtime.content_key import content_key


class Colour(Enum):
    RED = 1
    GREEN = 2


class Shade(Enum):
    RED = 1


@dataclass(frozen=True)
class Settings:
    steps: int = 25
    name: str = "a"


@dataclass(frozen=True)
class OtherSettings:
    steps: int = 25
    name: str = "a"


class Model(BaseModel):
    steps: int = 25


DIFFERENT: list[tuple[object, ...]] = [
    (),
    (None,),
    (False,),
    (0,),
    (0.0,),
    (-0.0,),
    ("",),
    (b"",),
    ("0",),
    ("ab", "c"),
    ("a", "bc"),
    (("a", "b"),),
    ("a", "b"),
    (("a",), "b"),
    ({},),
    ({"a": 1},),
    ({"a": {"b": 1}},),
    ({"a": "b"},),
    (Colour.RED,),
    (Colour.GREEN,),
    (Shade.RED,),
    (Settings(),),
    (Settings(26),),
    (OtherSettings(),),
    (Model(),),
    (Model(steps=26),),
    (torch.zeros(2),),
    (torch.zeros(2, 1),),
    (torch.zeros(2, dtype=torch.float64),),
    (torch.zeros(2, dtype=torch.int32),),
    (torch.tensor([0.0, 1.0]),),
    (torch.zeros(0),),
    (torch.zeros(()),),
    (np.zeros(2),),
    (np.zeros(2, dtype=np.float32),),
    (float("nan"),),
    (float("inf"),),
    (10**40,),
    ("\udce9",),
]


def test_values_that_differ_have_different_keys() -> None:
    for a, b in itertools.combinations(DIFFERENT, 2):
        assert content_key(*a) != content_key(*b), (a, b)


def test_equal_values_have_equal_keys() -> None:
    strided = torch.zeros(4, 2)[3:, 1]
    assert strided.stride() == (2,)
    assert content_key(strided) == content_key(torch.zeros(1))
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key([1, 2]) == content_key((1, 2))
    x = torch.arange(12.0).view(3, 4)
    assert content_key(x.T) == content_key(x.T.contiguous())
    assert content_key(x.requires_grad_()) == content_key(x.detach())
    assert content_key(Settings(25)) == content_key(Settings())
    assert len(content_key()) == 64


def test_the_key_is_the_same_in_every_process_and_version() -> None:
    value = ("weights", 25, 0.5, torch.arange(3.0), {"prompt": "a cat"})
    assert content_key(*value) == (
        "2f4ca63345819a8c24e9714732ea763f8fee1bbc310a5b9d15db13600c63126c"
    )


@pytest.mark.parametrize("value", [Path("a.png"), object(), {1: 2}, print, [{"a": object()}]])
def test_what_has_no_content_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        content_key(value)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(TREES, TREES)
def test_keys_are_equal_exactly_where_values_are(a: object, b: object) -> None:
    assert (content_key(a) == content_key(b)) == (repr(sorted_(a)) == repr(sorted_(b)))


def sorted_(value: object) -> object:
    """The value with every dictionary in order."""
    if isinstance(value, dict):
        return {key: sorted_(item) for key, item in sorted(value.items())}
    return tuple(map(sorted_, value)) if isinstance(value, tuple) else value
