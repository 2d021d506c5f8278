"""Integrators of the initial value problem, for ``solve_ivp``, ``exp`` and ``log``.

- :class:`IsokineticSplitting`: the default of ``solve_ivp``. Its cost is known beforehand, speed
  and sphere hold exactly, and it is reversible in time. Conformal metrics only.
- :class:`RungeKutta`: any metric, at a cost known beforehand. The method is a :class:`Tableau`.
- :class:`AdaptiveRungeKutta`: accuracy, at a cost that depends on the problem; the default of
  ``exp`` and ``log``. It needs a smooth score.
- :class:`PublishedRungeKutta`: the algorithm of the paper, to compare with.

A splitting is a :class:`Composition` (:data:`STRANG`, :data:`SUZUKI`); the results are
:class:`Ray` and :class:`RayResult`.
"""

from diffusion_geodesics.ivp import (
    CLASSICAL,
    STRANG,
    SUZUKI,
    AdaptiveRungeKutta,
    Composition,
    FixedStep,
    Integrator,
    IsokineticSplitting,
    PublishedRungeKutta,
    Ray,
    RayResult,
    RungeKutta,
    Tableau,
    solve_ivp,
)

__all__ = [
    "CLASSICAL",
    "STRANG",
    "SUZUKI",
    "AdaptiveRungeKutta",
    "Composition",
    "FixedStep",
    "Integrator",
    "IsokineticSplitting",
    "PublishedRungeKutta",
    "Ray",
    "RayResult",
    "RungeKutta",
    "Tableau",
    "solve_ivp",
]
