"""Measures of image paths: what a strip of frames is worth, and how sure that is.

A `Measure` takes a `Strip` and gives named numbers; `samples` compares whole sets of frames;
`statistics` gives intervals and win rates. Networks of other people are in `external`.
"""

from diffusion_geodesics.measures.external import External, Skipped, external_measures
from diffusion_geodesics.measures.measure import Better, Measure, Quantity, Strip
from diffusion_geodesics.measures.pacing import (
    FeatureLength,
    Features,
    PooledPixels,
    equal_steps,
    nearest_frames,
)
from diffusion_geodesics.measures.perceptual import PerceptualDistance, PerceptualPath
from diffusion_geodesics.measures.picture import Pictures, ghosting, sharpness, ssim
from diffusion_geodesics.measures.samples import (
    frechet,
    kernel_distance,
    two_sample_accuracy,
)
from diffusion_geodesics.measures.statistics import Interval, bootstrap_mean, win_rate

__all__ = [
    "Better",
    "External",
    "FeatureLength",
    "Features",
    "Interval",
    "Measure",
    "PerceptualDistance",
    "PerceptualPath",
    "Pictures",
    "PooledPixels",
    "Quantity",
    "Skipped",
    "Strip",
    "bootstrap_mean",
    "equal_steps",
    "external_measures",
    "frechet",
    "ghosting",
    "kernel_distance",
    "nearest_frames",
    "sharpness",
    "ssim",
    "two_sample_accuracy",
    "win_rate",
]
