"""Correspondences between two images from the features of a diffusion network, and images warped
along them and mixed."""

from diffusion_geodesics.correspondence.belief_propagation import BeliefPropagation
from diffusion_geodesics.correspondence.features import FeatureSettings, extract_features
from diffusion_geodesics.correspondence.fronts import Fronts, Order
from diffusion_geodesics.correspondence.gate import Gate
from diffusion_geodesics.correspondence.halfway_field import FieldDescent, Grid
from diffusion_geodesics.correspondence.matcher import Matcher
from diffusion_geodesics.correspondence.morph import morph
from diffusion_geodesics.correspondence.regions import Regions
from diffusion_geodesics.correspondence.release import Release
from diffusion_geodesics.correspondence.warp import Matches, warp

__all__ = [
    "BeliefPropagation",
    "FeatureSettings",
    "FieldDescent",
    "Fronts",
    "Gate",
    "Grid",
    "Matcher",
    "Matches",
    "Order",
    "Regions",
    "Release",
    "extract_features",
    "morph",
    "warp",
]
