"""Distance matrices that are interrupted and continued."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.bvp import PreconditionedFlow
from diffusion_geodesics.density import HalfPlane
from diffusion_geodesics.distances import (
    Progress,
    distance_matrix,
)
from tests.exact import Counting, vector

HALF_PLANE = torch.stack([vector(0, 0.5), vector(1, 1), vector(-0.5, 2), vector(0.3, 0.8)])


FLOW = PreconditionedFlow((16,))


def hyperbolic(x: Tensor) -> Tensor:
    gap = (x[:, None] - x[None]).square().sum(-1)
    return torch.arccosh(1 + gap / (2 * x[:, None, 1] * x[None, :, 1]))


class StopError(Exception):
    pass


def test_a_killed_run_continues_and_equals_the_uninterrupted_one(tmp_path: Path):
    file = tmp_path / "pairs.safetensors"
    score = Counting(HalfPlane())
    whole = distance_matrix(score, HALF_PLANE, solver=FLOW, batch=2)
    told: list[Progress] = []

    def kill(progress: Progress) -> None:
        told.append(progress)
        if progress.done == 4:
            raise StopError

    with pytest.raises(StopError):
        distance_matrix(score, HALF_PLANE, solver=FLOW, batch=2, resume=file, callback=kill)
    assert [p.done for p in told if p.step is None] == [0, 2, 4]
    assert [f.name for f in tmp_path.iterdir()] == [file.name]
    score.nfe = 0
    again = distance_matrix(score, HALF_PLANE, solver=FLOW, batch=2, resume=file)
    assert 0 < score.nfe < whole.nfe
    assert torch.equal(again.values, whole.values)
    assert torch.equal(again.errors, whole.errors)
    assert torch.equal(again.log_ratio, whole.log_ratio)
    assert (again.results, again.nfe) == (whole.results, whole.nfe)
    score.nfe = 0
    distance_matrix(score, HALF_PLANE, solver=FLOW, batch=2, resume=file)
    assert score.nfe == 0
    with pytest.raises(ValueError, match="other points or settings"):
        distance_matrix(score, HALF_PLANE, solver=FLOW, batch=2, resume=file, alpha=0.5)
    with pytest.raises(ValueError, match="other points or settings"):
        distance_matrix(score, HALF_PLANE, solver=FLOW, batch=2, resume=file, identity="b")
    file.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="cannot be read"):
        distance_matrix(score, HALF_PLANE, solver=FLOW, batch=2, resume=file)
