"""What is correct and tested, but used by no job of this package; names here may change.

:class:`FisherRao`, with :class:`DenoiserMoments`, :class:`MixtureMoments` and
:func:`spacetime_point`: not measured on images; slow where the ends have little noise.
"""

from diffusion_geodesics.experimental.fisher_rao import (
    DenoiserMoments,
    FisherRao,
    MixtureMoments,
    Moments,
    spacetime_point,
)

__all__ = ["DenoiserMoments", "FisherRao", "MixtureMoments", "Moments", "spacetime_point"]
