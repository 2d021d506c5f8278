r"""Diffusion models as geometry sees them: a score at a noise level, and the way there and back.

`Denoiser` is a network with its `NoiseSchedule` and prediction type; `LevelScore`, `GuidedScore`
and `RatioScore` are scores $-\hat\varepsilon/s$ at one level; `invert` and `sample` carry latents
up to that level and down; a `Codec` turns images into latents. Nothing here imports a model
library.
"""

from diffusion_geodesics.diffusion.codec import Codec
from diffusion_geodesics.diffusion.condition import Condition, ConditionCurve, ConditionLine
from diffusion_geodesics.diffusion.cost import Cost, Ledger
from diffusion_geodesics.diffusion.denoiser import (
    Denoiser,
    EpsilonPrediction,
    Network,
    NonFiniteError,
    Prediction,
    SamplePrediction,
    VelocityPrediction,
)
from diffusion_geodesics.diffusion.memory import ChunkedBatches, OutOfMemoryError
from diffusion_geodesics.diffusion.schedule import DiscreteSchedule, NoiseSchedule, Spacing
from diffusion_geodesics.diffusion.score import GuidedScore, LevelScore, RatioScore
from diffusion_geodesics.diffusion.transport import OnStep, guidance_bump, invert, sample

__all__ = [
    "ChunkedBatches",
    "Codec",
    "Condition",
    "ConditionCurve",
    "ConditionLine",
    "Cost",
    "Denoiser",
    "DiscreteSchedule",
    "EpsilonPrediction",
    "GuidedScore",
    "Ledger",
    "LevelScore",
    "Network",
    "NoiseSchedule",
    "NonFiniteError",
    "OnStep",
    "OutOfMemoryError",
    "Prediction",
    "RatioScore",
    "SamplePrediction",
    "Spacing",
    "VelocityPrediction",
    "guidance_bump",
    "invert",
    "sample",
]
