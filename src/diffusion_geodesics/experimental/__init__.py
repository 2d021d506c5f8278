"""Methods that are correct and tested, but that no job of this package uses.

What was measured, judged against slerp on a pretrained latent flow of digits (36 dimensions) and a
prototype of the embedded portrait model (1024 dimensions):

- :class:`Stein` and :class:`ScoreJacobian`: images along their geodesics were no better, or worse.
- :class:`FisherRao` (with :class:`DenoiserMoments`, :class:`MixtureMoments` and
  :func:`spacetime_point`): not measured on images; slow where the ends have little noise.
- :class:`FiniteTemperatureString`: no geodesic, and about a thousand times the cost of one.

They are kept for comparison and because they are exact about what they measure. Names here may
change without notice.
"""

from diffusion_geodesics.experimental.finite_temperature import FiniteTemperatureString, TubeDetails
from diffusion_geodesics.experimental.fisher_rao import (
    DenoiserMoments,
    FisherRao,
    MixtureMoments,
    Moments,
    spacetime_point,
)
from diffusion_geodesics.experimental.score_jacobian import ScoreJacobian
from diffusion_geodesics.experimental.stein import Stein

__all__ = [
    "DenoiserMoments",
    "FiniteTemperatureString",
    "FisherRao",
    "MixtureMoments",
    "Moments",
    "ScoreJacobian",
    "Stein",
    "TubeDetails",
    "spacetime_point",
]
