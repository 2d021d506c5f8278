"""Conditions: rows, and curves of them along one path or several."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import (
    Condition,
    ConditionArc,
    ConditionLine,
    PathConditions,
)
from tests.conformance.denoiser import shifts


def points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def two_parts(seed: int) -> Condition:
    """One row, as a family with token and pooled embeddings has it."""
    return Condition((points(1, 3, 4, seed=seed), points(1, 2, seed=seed)))


def test_lines_interpolate_row_by_row_and_keep_their_ends() -> None:
    a, b = two_parts(0), two_parts(1)
    line = ConditionLine(a, b).at(torch.tensor([0.0, 0.25, 1.0]))
    for mixed, first, last in zip(line.parts, a.parts, b.parts, strict=True):
        assert torch.equal(mixed[0], first[0])
        assert torch.equal(mixed[2], last[0])
        assert_close(mixed[1], 0.75 * first[0] + 0.25 * last[0])
    assert Condition.stack([a, b, a]).rows == 3


def test_arcs_turn_each_token_at_a_constant_rate_and_interpolate_its_norm() -> None:
    a, b = (Condition((points(1, 3, 8, seed=k) * (1 + k),)) for k in (3, 4))
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    arc = ConditionArc(a, b).at(t).parts[0]
    assert torch.equal(arc[0], a.parts[0][0])
    assert torch.equal(arc[-1], b.parts[0][0])
    first, last = a.parts[0].norm(dim=-1), b.parts[0].norm(dim=-1)
    assert_close(arc.norm(dim=-1), (1 - t[:, None]) * first + t[:, None] * last)
    unit = torch.nn.functional.normalize(arc, dim=-1)
    steps = (unit[1:] * unit[:-1]).sum(-1).clamp(-1, 1).acos()
    total = (unit[0] * unit[-1]).sum(-1).acos()
    assert_close(steps, (total / 8).expand(8, 3), rtol=1e-9, atol=1e-9)


def test_an_arc_between_equal_or_opposite_tokens_is_a_line() -> None:
    a = Condition((points(1, 3, 8),))
    opposite = Condition((-a.parts[0],))
    t = torch.tensor([0.4], dtype=torch.float64)
    assert_close(ConditionArc(a, a).at(t).parts[0], a.parts[0])
    assert_close(ConditionArc(a, opposite).at(t).parts[0], 0.2 * a.parts[0])


def test_paths_take_their_own_curve_row_by_row() -> None:
    curves = [ConditionLine(shifts(float(k)), shifts(k + 1.0)) for k in range(3)]
    both = PathConditions(tuple(curves))
    t = torch.linspace(0, 1, 12, dtype=torch.float64)
    rows = both.at(t).parts[0]
    for k, curve in enumerate(curves):
        assert torch.equal(rows[k::3], curve.at(t[k::3]).parts[0])
    picked = both.select(torch.tensor([2, 1])).at(t[:4]).parts[0]
    assert torch.equal(picked[0::2], curves[2].at(t[0:4:2]).parts[0])
    assert torch.equal(picked[1::2], curves[1].at(t[1:4:2]).parts[0])
    with pytest.raises(ValueError, match="got 4 points for 3 paths"):
        both.at(t[:4])
    with pytest.raises(ValueError, match="expected one a path"):
        PathConditions(())


def test_paths_that_share_a_curve_need_no_axis() -> None:
    curve, other = (ConditionLine(shifts(0.0), shifts(1.0)) for _ in range(2))
    assert PathConditions.of([curve, curve]) is curve
    assert isinstance(PathConditions.of([curve, other]), PathConditions)


def test_conditions_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Condition(())
    with pytest.raises(ValueError, match="same rows"):
        Condition((points(2, 3), points(3, 3)))
    with pytest.raises(ValueError, match="expected 1 or 5"):
        shifts(1.0, 2.0).expand(5)
    with pytest.raises(ValueError, match="same model"):
        shifts(1.0).lerp(shifts(1.0, dim=4), torch.tensor([0.5]))
    for curve in (ConditionLine, ConditionArc):
        with pytest.raises(ValueError, match="one row each"):
            curve(shifts(1.0, 2.0), shifts(1.0))
