"""The renderer: deterministic, symmetric, continuous, and every factor does what it says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.factors import BACKGROUND, HAIR, Factors, sample_factors
from training.portraits import render

SIZE = 48


def draw(n: int, seed: int = 0) -> Factors:
    return sample_factors(n, torch.Generator().manual_seed(seed))


def plain() -> Factors:
    """One frontal face with nothing special."""
    return draw(1).replace(
        **dict.fromkeys(
            ("yaw", "pitch", "roll", "gaze", "light", "bald", "beard", "glasses", "mouth_open"), 0.0
        ),
        smile=0.0,
        skin=0.1,
        hair=torch.tensor(HAIR["blue"]),
        background=torch.tensor(BACKGROUND["green"]),
    )


def change(a: Tensor, b: Tensor) -> Tensor:
    """Where two images differ: (size, size)."""
    return (a - b).abs().amax((0, 1))


def test_images_are_deterministic_and_do_not_depend_on_the_batch():
    factors = draw(3)
    images = render(factors, SIZE)
    assert images.shape == (3, 3, SIZE, SIZE)
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, render(factors, SIZE))
    alone = torch.cat([render(factors.select(i), SIZE) for i in range(3)])
    torch.testing.assert_close(images, alone, atol=2e-3, rtol=0)


def test_a_mirrored_portrait_is_the_flipped_image():
    factors = draw(8)
    flipped = render(factors, SIZE).flip(-1)
    torch.testing.assert_close(render(factors.mirror(), SIZE), flipped, atol=1e-4, rtol=0)


def test_no_portraits_give_no_images():
    assert render(draw(2).select(slice(0, 0)), SIZE).shape == (0, 3, SIZE, SIZE)


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="positive"):
        render(draw(1), 0)


@pytest.mark.parametrize("name", [n for n in draw(1).tensors() if n not in ("bald", "glasses")])
def test_images_change_continuously_and_with_every_factor(name: str):
    face = draw(1, seed=3).replace(bald=0.0, glasses=1.0, beard=0.8, yaw=0.3, mouth_open=0.5)
    other = draw(1, seed=5).tensors()[name]
    far = face.replace(**{name: other})
    image = render(face, SIZE)
    moved = (render(far, SIZE) - image).abs().mean()
    close = (render(face.interpolate(far, 0.01), SIZE) - image).abs().mean()
    assert moved > 1e-5
    assert close < 0.2 * moved + 1e-4


def test_yaw_moves_the_mouth_to_its_side():
    face = plain().replace(mouth_open=1.0)
    column = torch.linspace(-1, 1, SIZE)

    def mouth(yaw: float) -> float:
        turned = face.replace(yaw=yaw)
        marks = change(render(turned, SIZE), render(turned.replace(mouth_open=0.0), SIZE))
        return ((marks * column).sum() / marks.sum()).item()

    assert mouth(-0.6) < -0.1
    assert abs(mouth(0.0)) < 0.02
    assert mouth(0.6) > 0.1


def test_the_background_has_its_colour():
    corner = render(plain(), SIZE)[0, :, 0, 0]
    expected = torch.tensor(BACKGROUND["green"])
    torch.testing.assert_close(corner / corner.sum(), expected / expected.sum(), atol=1e-3, rtol=0)


def test_hair_colours_the_top_and_baldness_removes_it():
    face = plain()
    crown = slice(4, 10), slice(SIZE // 2 - 4, SIZE // 2 + 4)
    with_hair = render(face, SIZE)[0][:, crown[0], crown[1]].mean((1, 2))
    without = render(face.replace(bald=1.0), SIZE)[0][:, crown[0], crown[1]].mean((1, 2))
    assert with_hair.argmax() == 2
    assert without.argmax() != 2


def test_glasses_and_smiles_stay_where_they_belong():
    face = plain()
    image = render(face, SIZE)
    glasses = change(render(face.replace(glasses=1.0), SIZE), image)
    smile = change(render(face.replace(smile=1.0), SIZE), image)
    half = SIZE // 2
    assert glasses.sum() > 0
    assert glasses[half + 4 :].sum() == 0
    assert smile.sum() > 0
    assert smile[: half + 2].sum() == 0


def test_the_light_brightens_its_side():
    image = render(plain().replace(light=1.0), SIZE)[0].mean(0)
    middle = image[SIZE // 3 : 2 * SIZE // 3]
    assert middle[:, SIZE // 2 :].mean() > middle[:, : SIZE // 2].mean()
