"""Video pipelines with a first and a last image, as methods of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.comparison.rendered import Fixed
from diffusion_geodesics.comparison.video_model import VideoModel
from diffusion_geodesics.measures import PooledPixels
from tests.comparison.scenes import PROMPTED, context
from tests.tiny.video import tiny_ltx, tiny_wan
from tests.tiny_pipelines import tiny_pipeline

# LTX's pipeline gives tensors to numpy in a way that numpy is about to end.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch_dtype.* is deprecated:FutureWarning"),
]

FEW: dict[str, Any] = {"length": 9, "steps": 2, "options": {"max_sequence_length": 16}}


@pytest.fixture(autouse=True)
def ftfy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Wan cleans prompts with; it is not installed here."""
    import diffusers.pipelines.wan.pipeline_wan_i2v as wan

    monkeypatch.setattr(wan, "ftfy", SimpleNamespace(fix_text=str), raising=False)


@pytest.mark.parametrize("make", [tiny_ltx, tiny_wan])
def test_a_video_becomes_a_strip_of_the_comparisons_size(make: Callable[[], Any]) -> None:
    here, method = context(PROMPTED), VideoModel(make(), "theirs", **FEW)
    found = method.path(here, "one")
    assert isinstance(found, Fixed)
    assert found.images.shape == (9, *here.images.shape[1:])
    assert 0 <= float(found.images.min()) < float(found.images.max()) <= 1
    film = found.frames(here.run, PooledPixels(), 3)
    assert len(film.frames) == 3
    assert here.run.costs["video model"].seconds > 0
    assert_close(method.path(here, "one").images, found.images)  # type: ignore[attr-defined]


class Recorder:
    """A pipeline that keeps what it is called with."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def __call__(self, image: Any, last_image: Any, **options: Any) -> Any:
        self.seen = {"image": image, "last_image": last_image, **options}
        return SimpleNamespace(frames=torch.rand(1, options["num_frames"], 3, 32, 64))


def test_images_prompts_and_sizes_are_passed_on() -> None:
    pipe, here = Recorder(), context(PROMPTED)
    VideoModel(pipe, "x", length=5, steps=7, seed=3, options={"guidance_scale": 2.0}).path(here, "")
    seen = pipe.seen
    assert seen["prompt"] == "ab, turning into cd"
    assert (seen["num_frames"], seen["num_inference_steps"]) == (5, 7)
    assert seen["guidance_scale"] == 2.0
    assert seen["height"] % 32 == seen["width"] % 32 == 0
    assert seen["generator"].initial_seed() == 3
    first = torch.tensor(np.asarray(seen["image"])).float() / 255
    assert_close(first.movedim(-1, 0), here.images[0].float(), atol=3e-3, rtol=0)


def test_a_pipeline_that_takes_no_last_image_is_refused(tmp_path: Path) -> None:
    pipe = tiny_pipeline(tmp_path / "tokenizer")
    with pytest.raises(ValueError, match="a StableDiffusionPipeline takes no last image"):
        VideoModel(pipe, "x")
    pipe.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="takes no last image"):
        read_method(f"video:model={tmp_path / 'model'}")
    with pytest.raises(ValueError, match="cannot open the video model in"):
        read_method(f"video:model={tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="needs the folder"):
        read_method("video")


def test_a_saved_pipeline_is_a_method_of_the_command_line(tmp_path: Path) -> None:
    tiny_ltx().save_pretrained(tmp_path / "ltx")
    method = read_method(f"video:model={tmp_path / 'ltx'},length=9,steps=2")
    assert isinstance(method, VideoModel)
    assert (method.name, method.length, method.steps, method.seed) == ("ltx", 9, 2, 0)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers.pipelines.wan.pipeline_wan_i2v as wan

    monkeypatch.delattr(wan, "ftfy")
    with pytest.raises(ValueError, match="pip install ftfy"):
        VideoModel(tiny_wan(), "x", **FEW).path(context(PROMPTED), "one")
