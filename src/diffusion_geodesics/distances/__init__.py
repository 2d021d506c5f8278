r"""Geodesic distances: of two points, of all pairs of n points, and the Fréchet mean.

:class:`Metamorphosis` is another distance, of arrays whose parts may move; it needs no score.

A score gives densities only up to a factor, so a distance needs a *reference* density: that of the
pair's own ends, one common to all points, or 1 if absolute log densities are known. See
:mod:`diffusion_geodesics.distances.reference` for which of them give a metric.
"""

from diffusion_geodesics.distances.embedding import Embedding, embed
from diffusion_geodesics.distances.frechet import FrechetMean, frechet_mean
from diffusion_geodesics.distances.matrix import DistanceMatrix, Progress, distance_matrix
from diffusion_geodesics.distances.metamorphosis import (
    Metamorphosis,
    MetamorphosisDistance,
    MetamorphosisMatrix,
)
from diffusion_geodesics.distances.metamorphosis_mean import metamorphosis_mean, nearest_neighbours
from diffusion_geodesics.distances.pair import Distance, distance
from diffusion_geodesics.distances.reference import Absolute, CommonMean, EndsMean, Reference

__all__ = [
    "Absolute",
    "CommonMean",
    "Distance",
    "DistanceMatrix",
    "Embedding",
    "EndsMean",
    "FrechetMean",
    "Metamorphosis",
    "MetamorphosisDistance",
    "MetamorphosisMatrix",
    "Progress",
    "Reference",
    "distance",
    "distance_matrix",
    "embed",
    "frechet_mean",
    "metamorphosis_mean",
    "nearest_neighbours",
]
