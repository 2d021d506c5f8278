"""Solvers of the boundary value problem, for ``solve_bvp(problem, solver)`` and ``geodesic``.

- :class:`PreconditionedFlow`: the default for every connection. ``refine=(64,)`` adds nodes for
  pairs that need them; ``average_last=20`` suits scores that differ from call to call.
- :class:`EnergyMinimiser`: for geometries that are given as an :class:`Energy`.
- :class:`Shooting`: by rays, with one or several segments; expensive, an independent check.
- :class:`StringMethod`: the path of maximal density, which is no geodesic.
- :class:`PublishedDescent`: the algorithm of the paper, to compare with; with
  :func:`published_alpha` and :func:`mean_norm_sphere` to use its settings.

To add a solver derive from :class:`RelaxationSolver` if it moves the nodes of a curve step by step,
otherwise from :class:`BVPSolver`.
"""

import diffusion_geodesics.bvp as bvp
from diffusion_geodesics.bvp import *  # noqa: F403

__all__: list[str] = []
__all__ += bvp.__all__
