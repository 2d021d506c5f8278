r"""Geodesic distances: of two points, of all pairs of n points, and the Fréchet mean.

A score gives densities up to a factor only, so a distance needs a *reference* density: that of the
pair's own ends, one common to all points, or 1 where absolute log densities are known. See
:mod:`diffusion_geodesics.distance.reference` for which of them is a metric.
"""

from diffusion_geodesics.distance.embedding import Embedding, embed
from diffusion_geodesics.distance.frechet import FrechetMean, frechet_mean
from diffusion_geodesics.distance.matrix import DistanceMatrix, Progress, distance_matrix
from diffusion_geodesics.distance.pair import Distance, distance
from diffusion_geodesics.distance.reference import Absolute, CommonMean, EndsMean, Reference

__all__ = [
    "Absolute",
    "CommonMean",
    "Distance",
    "DistanceMatrix",
    "Embedding",
    "EndsMean",
    "FrechetMean",
    "Progress",
    "Reference",
    "distance",
    "distance_matrix",
    "embed",
    "frechet_mean",
]
