"""What every score and every density must do."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics import Density, Score


@dataclass(frozen=True)
class ScoreCase:
    """A score and points of its support, shape (2, 3, dim), in double precision."""

    name: str
    score: Score
    points: Tensor
    differs_by_path: bool = False

    @property
    def t(self) -> Tensor:
        return torch.linspace(0.1, 0.9, 6).to(self.points).reshape(2, 3)


def _gradient(density: Density, t: Tensor, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(density.log_prob(t, x).sum(), x)[0]


class ScoreSuite:
    """Subclasses provide the fixture ``case``."""

    def test_keeps_shape_device_and_dtype(self, case: ScoreCase):
        for dtype in {torch.float32, case.points.dtype}:
            x = case.points.to(dtype)
            value = case.score(case.t.to(dtype), x)
            assert (value.shape, value.dtype, value.device) == (x.shape, dtype, x.device)

    def test_float32_agrees(self, case: ScoreCase):
        half = case.score(case.t.float(), case.points.float())
        assert_close(half.to(case.points), case.score(case.t, case.points), rtol=1e-4, atol=1e-4)

    def test_a_batch_is_a_loop(self, case: ScoreCase):
        if case.differs_by_path:
            pytest.skip("each path has a score of its own")
        rows = [
            case.score(case.t[i, j][None], case.points[i, j][None])[0]
            for i in range(2)
            for j in range(3)
        ]
        together = case.score(case.t, case.points)
        assert_close(together.reshape(6, -1), torch.stack(rows), rtol=1e-12, atol=1e-12)

    def test_time_broadcasts(self, case: ScoreCase):
        t = case.t[:, :1]
        together = case.score(t.expand(2, 3), case.points)
        assert_close(case.score(t, case.points), together, rtol=0, atol=0)

    def test_selects_paths(self, case: ScoreCase):
        index = torch.tensor([2, 0, 2], device=case.points.device)
        some = case.score.select(index)(case.t[:, index], case.points[:, index])
        assert_close(some, case.score(case.t, case.points)[:, index], rtol=1e-12, atol=1e-12)

    def test_precision_bounds_the_curvature(self, case: ScoreCase):
        if case.score.precision is None:
            pytest.skip("its precision is not known")
        for t, x in zip(case.t.flatten(), case.points.flatten(0, 1), strict=True):

            def score(x: Tensor, t: Tensor = t) -> Tensor:
                return case.score(t[None], x[None])[0]

            if case.differs_by_path:
                continue
            jacobian = torch.autograd.functional.jacobian(score, x)
            assert isinstance(jacobian, Tensor)
            assert_close(jacobian, jacobian.T)
            largest = float(torch.linalg.eigvalsh(-jacobian).max())
            assert largest <= case.score.precision * (1 + 1e-9) + 1e-12


class DensitySuite(ScoreSuite):
    """For densities: the score is the gradient of the log density."""

    def test_score_is_the_gradient(self, case: ScoreCase):
        assert isinstance(case.score, Density)
        gradient = _gradient(case.score, case.t, case.points)
        assert_close(case.score(case.t, case.points), gradient, rtol=1e-10, atol=1e-10)

    def test_log_prob_of_a_batch(self, case: ScoreCase):
        assert isinstance(case.score, Density)
        together = case.score.log_prob(case.t, case.points)
        assert together.shape == case.points.shape[:-1]
        rows = [
            case.score.log_prob(t[None], x[None])
            for t, x in zip(case.t.flatten(), case.points.flatten(0, 1), strict=True)
        ]
        assert_close(together.flatten(), torch.cat(rows), rtol=1e-12, atol=1e-12)

    def test_log_prob_keeps_dtype(self, case: ScoreCase):
        assert isinstance(case.score, Density)
        value = case.score.log_prob(case.t.float(), case.points.float())
        assert value.dtype == torch.float32
        assert_close(
            value.to(case.points), case.score.log_prob(case.t, case.points), rtol=1e-4, atol=1e-4
        )
