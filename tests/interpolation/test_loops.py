"""Films of many keyframes: loops, rests, other sizes, and pictures that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.images import ImageError, save_png
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.segments import GROUP, groups_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.interpolation.timeline import Chain, chain_of
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Event

QUICK = InterpolationSettings.of(steps=4, level=0.5, path="slerp", film_only=True)
Images = tuple[Tensor, Tensor, Tensor]


def pictures(count: int, height: int = 32, width: int = 32) -> list[Tensor]:
    noise = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(count))
    smooth = torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic")
    return list(smooth.clamp(0, 1))


def steps(frames: Tensor, *, round_: bool) -> Tensor:
    """Root mean square difference of neighbouring frames, over the seam of a loop as well."""
    after = frames.roll(-1, 0) if round_ else frames[1:]
    return (after - frames[: len(after)]).square().mean((1, 2, 3)).sqrt()


def test_a_loop_closes_without_a_doubled_frame(model: DiffusionModel) -> None:
    images = pictures(4)
    done = interpolate(model, images, QUICK, loop=True, frames=32)
    assert [(s.first, s.last) for s in done.segments] == [(0, 1), (1, 2), (2, 3), (3, 0)]
    at = list(done.strip.timeline.keyframes)
    assert (len(done.frames), at[0], len(set(at))) == (32, 0, 4)
    assert done.times[at].tolist() == [0, 1, 2, 3]
    walked = steps(done.frames, round_=True)
    assert float(walked.min()) > 0, "no frame is doubled, at the joints or over the seam"
    assert float(walked[-1]) <= float(walked[:-1].max())
    for own, best in zip(done.keyframe_psnr, done.codec_psnr, strict=True):
        assert own > best - 0.5
    lengths = [s.lengths["slerp"] for s in done.segments]
    assert done.lengths["slerp"] == pytest.approx(sum(lengths))


def test_two_images_make_a_loop_of_two_paths(model: DiffusionModel) -> None:
    done = interpolate(model, pictures(2), QUICK, loop=True)
    assert [(s.first, s.last) for s in done.segments] == [(0, 1), (1, 0)]
    assert len(done.frames) == 32


def codes(done: Any) -> list[str]:
    return [w.code for w in done.warnings]


def test_a_film_rests_on_an_image_that_is_given_twice(model: DiffusionModel) -> None:
    a, b, c = pictures(3)
    done = interpolate(model, [a, b, b, c], QUICK, frames=9)
    assert [(s.first, s.last) for s in done.segments] == [(0, 1), (2, 3)]
    first, second = done.strip.timeline.keyframes[1:3]
    assert second == first + 1
    assert float((done.frames[first] - done.frames[second]).abs().max()) < 1e-4
    (told,) = [w for w in done.warnings if w.code == "hold"]
    assert "Images 2 and 3" in str(told)
    apart = interpolate(model, [a, b, a], QUICK, frames=9)
    assert "hold" not in codes(apart), "the same image may come again later"
    assert len(apart.segments) == 2


def test_a_loop_may_end_with_its_first_image(model: DiffusionModel) -> None:
    a, b, c = pictures(3)
    given = interpolate(model, [a, b, c, a], QUICK, loop=True, frames=12)
    plain = interpolate(model, [a, b, c], QUICK, loop=True, frames=12)
    assert "closed_by_last" in codes(given)
    assert given.strip.timeline.keyframes[3] == 0
    assert float((given.frames - plain.frames).abs().max()) < 1e-4


def test_images_that_are_all_the_same() -> None:
    one = torch.rand(1, 3, 16, 16).expand(3, 3, 16, 16)
    with pytest.raises(ValueError, match=r"all images \(a, b\) are identical"):
        chain_of(Pictures(one, ("a", "b", "a"), ("", "", "")), closed=False)


def test_chains() -> None:
    a, b = torch.zeros(3, 16, 16), torch.ones(3, 16, 16)
    given = Pictures(torch.stack([a, b, b, a, a]), ("",) * 5, ("",) * 5)
    assert chain_of(given, closed=False) == Chain(((0, 1), (2, 3)), (0, 1, 1, 2, 2))
    assert chain_of(given, closed=False).legs == (0, None, 1, None)
    assert chain_of(given, closed=True).legs == (0, None, 1, None), "the seam is no rest"
    assert Chain.through(3, closed=True).legs == (0, 1, 2)
    assert Chain.through(3, closed=False).legs == (0, 1)


def test_groups_are_equal_and_cover_all() -> None:
    for count in range(1, 60):
        groups = groups_of(count)
        assert [i for g in groups for i in range(g.start, g.stop)] == list(range(count))
        sizes = [g.stop - g.start for g in groups]
        assert max(sizes) <= GROUP
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.slow
def test_fifty_keyframes(model: DiffusionModel) -> None:
    done = interpolate(model, pictures(50, 16, 16), QUICK, frames=99)
    assert len(done.segments) == 49
    assert len(set(done.strip.timeline.keyframes)) == 50
    assert len(done.frames) == 99
    assert min(done.keyframe_psnr) > min(done.codec_psnr) - 0.5


def test_other_sizes_and_shapes_come_to_one(model: DiffusionModel) -> None:
    mixed = [*pictures(1, 32, 48), *pictures(2, 64, 40), *pictures(1, 33, 33)]
    done = interpolate(model, mixed, QUICK, frames=7)
    height, width = done.pictures.size
    assert done.frames.shape == (7, 3, height, width)
    assert all("cut" in note or "resized" in note for note in done.pictures.notes)


def test_what_cannot_be_read_is_named_before_any_work(
    model: DiffusionModel, tmp_path: Path
) -> None:
    files = []
    for i, image in enumerate(pictures(5)):
        files.append(tmp_path / f"{i}.png")
        save_png(files[-1], image)
    files[3].write_bytes(files[3].read_bytes()[:100])
    seen: list[Event] = []
    with pytest.raises(ImageError, match=r"3\.png"):
        interpolate(model, files, QUICK, observer=seen.append)
    assert seen == []
