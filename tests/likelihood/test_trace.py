"""Trace estimates: exact cases, bias, accuracy."""

import math

import torch
from torch.testing import assert_close

from diffusion_geodesics.likelihood import (
    Hutchinson,
    ShiftedHutchPlusPlus,
)


def test_hutch_plus_plus_is_exact_for_a_multiple_of_the_identity_plus_low_rank():
    generator = torch.Generator().manual_seed(2)
    factor = torch.randn(40, 2, generator=generator, dtype=torch.float64)
    matrix = factor @ factor.T
    trace = ShiftedHutchPlusPlus(15)
    x = torch.zeros(1, 40, dtype=torch.float64)
    for shift in (0.0, 3.0):
        full = matrix + shift * torch.eye(40).double()
        samples = trace.samples(lambda v, full=full: v @ full, trace.draw(x))
        assert_close(samples, full.trace().expand_as(samples))
    samples = trace.samples(lambda v: 5 * v, trace.draw(x))
    assert_close(samples, torch.full_like(samples, 200))


def test_traces_are_unbiased_and_exact_with_as_many_probes_as_dimensions():
    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    x = torch.zeros(2000, 5, dtype=torch.float64)
    for trace in (Hutchinson(2), ShiftedHutchPlusPlus(3)):
        samples = trace.samples(lambda v: v @ matrix.T, trace.draw(x))
        assert samples.shape == (trace.count, 2000)
        error = float(samples.mean() - matrix.trace())
        assert abs(error) < 4 * float(samples.std()) / math.sqrt(samples.numel())
    full = ShiftedHutchPlusPlus(15)
    samples = full.samples(lambda v: v @ matrix.T, full.draw(x[:3]))
    assert_close(samples, matrix.trace().expand_as(samples))
