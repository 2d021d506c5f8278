"""Runge-Kutta methods: their settings."""

import pytest

from diffusion_geodesics.ivp import AdaptiveRungeKutta, Tableau


def test_bad_settings():
    with pytest.raises(ValueError, match="rtol"):
        AdaptiveRungeKutta(rtol=-1)
    with pytest.raises(ValueError, match="tableau"):
        Tableau(((), ()), (0.5, 0.5), (0.0, 1.0), 2)
