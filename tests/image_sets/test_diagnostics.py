"""Names of images, and what must be known before densities are believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.image_sets.diagnostics import short_names


def test_names_are_numbered_where_several_are_the_same() -> None:
    assert short_names(("a/x.png", "b/x.png", "y.jpg")) == ["x (1)", "x (2)", "y"]
    assert short_names(("image 1", "image 2")) == ["image 1", "image 2"]


@given(st.lists(st.sampled_from(["a/x.png", "b/x.jpg", "y.png", "z"]), max_size=6))
def test_short_names_are_all_different(names: list[str]) -> None:
    assert len(set(short_names(names))) == len(names)
