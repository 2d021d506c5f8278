r"""Diffusion models as geometry sees them: a score at a noise level, and the way there and back.

`Denoiser` is a network with its `NoiseSchedule` and prediction type; `LevelScore`, `GuidedScore`
and `RatioScore` are scores $-\hat\varepsilon/s$ at one level; `invert` and `sample` carry latents
up to that level and down; a `Codec` turns images into latents. Nothing here imports a model
library.
"""

from diffusion_geodesics.diffusion.codec import Codec
from diffusion_geodesics.diffusion.condition import Condition, ConditionCurve, ConditionLine
from diffusion_geodesics.diffusion.cost import Cost, Ledger
from diffusion_geodesics.diffusion.denoiser import Denoiser, Network, NonFiniteError
from diffusion_geodesics.diffusion.discrete_schedule import DiscreteSchedule, Spacing
from diffusion_geodesics.diffusion.edm_schedule import EDMSchedule, SigmaSpacing
from diffusion_geodesics.diffusion.flow_schedule import FlowSchedule, dynamic_mu
from diffusion_geodesics.diffusion.memory import ChunkedBatches, OutOfMemoryError
from diffusion_geodesics.diffusion.prediction import (
    EDMPrediction,
    EpsilonPrediction,
    FlowPrediction,
    Prediction,
    SamplePrediction,
    ScorePrediction,
    VelocityPrediction,
)
from diffusion_geodesics.diffusion.schedule import NoiseSchedule
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
    "EDMPrediction",
    "EDMSchedule",
    "EpsilonPrediction",
    "FlowPrediction",
    "FlowSchedule",
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
    "ScorePrediction",
    "SigmaSpacing",
    "Spacing",
    "VelocityPrediction",
    "dynamic_mu",
    "guidance_bump",
    "invert",
    "sample",
]
