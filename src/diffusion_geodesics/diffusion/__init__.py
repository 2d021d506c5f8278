r"""Diffusion models as geometry sees them: a score at a noise level, and the way there and back.

`Denoiser` is a network with its `NoiseSchedule` and prediction type; `LevelScore` and
`RatioScore` are scores $-\hat\varepsilon/s$ at one level; `invert` and `sample` carry latents
up to that level and down; a `Codec` turns images into latents. Nothing here imports a model
library.
"""

from diffusion_geodesics.diffusion.codec import Codec, Images, Latents, MeteredCodec
from diffusion_geodesics.diffusion.condition import (
    Condition,
    ConditionArc,
    ConditionCurve,
    ConditionLine,
    PathConditions,
)
from diffusion_geodesics.diffusion.denoiser import Denoiser, Features, Network, NonFiniteError
from diffusion_geodesics.diffusion.discrete_schedule import DiscreteSchedule, Spacing
from diffusion_geodesics.diffusion.distilled import (
    NFSD,
    SDS,
    Distillation,
    DistilledScore,
    Published,
)
from diffusion_geodesics.diffusion.edm_schedule import EDMSchedule, SigmaSpacing
from diffusion_geodesics.diffusion.flops import (
    codec_flops,
    count_flops,
    evaluation_flops,
    network_bytes,
)
from diffusion_geodesics.diffusion.flow_schedule import FlowSchedule, dynamic_mu
from diffusion_geodesics.diffusion.memory import ChunkedBatches, OutOfMemoryError
from diffusion_geodesics.diffusion.noise_scale import noise_caution, noise_scale
from diffusion_geodesics.diffusion.prediction import (
    EDMPrediction,
    EpsilonPrediction,
    FlowPrediction,
    Prediction,
    Rows,
    SamplePrediction,
    ScorePrediction,
    VelocityPrediction,
)
from diffusion_geodesics.diffusion.sampler import DDIM, LMS, DPMSolver, Heun, Sampler
from diffusion_geodesics.diffusion.schedule import NoiseSchedule
from diffusion_geodesics.diffusion.score import LevelScore, RatioScore
from diffusion_geodesics.diffusion.text_inversion import TextInversion, invert_text
from diffusion_geodesics.diffusion.transport import (
    OnStep,
    guidance_bump,
    invert,
    sample,
    sampling_nfe,
)
from diffusion_geodesics.diffusion.window import FixedWindow, Quadrature, RandomWindow

__all__ = [
    "DDIM",
    "LMS",
    "NFSD",
    "SDS",
    "ChunkedBatches",
    "Codec",
    "Condition",
    "ConditionArc",
    "ConditionCurve",
    "ConditionLine",
    "DPMSolver",
    "Denoiser",
    "DiscreteSchedule",
    "Distillation",
    "DistilledScore",
    "EDMPrediction",
    "EDMSchedule",
    "EpsilonPrediction",
    "Features",
    "FixedWindow",
    "FlowPrediction",
    "FlowSchedule",
    "Heun",
    "Images",
    "Latents",
    "LevelScore",
    "MeteredCodec",
    "Network",
    "NoiseSchedule",
    "NonFiniteError",
    "OnStep",
    "OutOfMemoryError",
    "PathConditions",
    "Prediction",
    "Published",
    "Quadrature",
    "RandomWindow",
    "RatioScore",
    "Rows",
    "SamplePrediction",
    "Sampler",
    "ScorePrediction",
    "SigmaSpacing",
    "Spacing",
    "TextInversion",
    "VelocityPrediction",
    "codec_flops",
    "count_flops",
    "dynamic_mu",
    "evaluation_flops",
    "guidance_bump",
    "invert",
    "invert_text",
    "network_bytes",
    "noise_caution",
    "noise_scale",
    "sample",
    "sampling_nfe",
]
