"""Evidence: several methods on the same pairs of images, measured alike."""

from diffusion_geodesics.apps.evidence.attention import AttentionInterpolation
from diffusion_geodesics.apps.evidence.compare import compare
from diffusion_geodesics.apps.evidence.comparison import Comparison, Outcome, PairResult
from diffusion_geodesics.apps.evidence.evaluate import evaluate
from diffusion_geodesics.apps.evidence.folders import Pair, read_pairs
from diffusion_geodesics.apps.evidence.method import (
    CorrectedNoise,
    Foreign,
    FullNoise,
    LatentLerp,
    LevelPath,
    Method,
    PixelBlend,
)
from diffusion_geodesics.apps.evidence.reel import Fixed, Reel, Rendered
from diffusion_geodesics.apps.evidence.solved import (
    Carried,
    Geodesic,
    MaximalDensity,
    PublishedMethod,
)
from diffusion_geodesics.apps.evidence.stage import Stage, set_stage

__all__ = [
    "AttentionInterpolation",
    "Carried",
    "Comparison",
    "CorrectedNoise",
    "Fixed",
    "Foreign",
    "FullNoise",
    "Geodesic",
    "LatentLerp",
    "LevelPath",
    "MaximalDensity",
    "Method",
    "Outcome",
    "Pair",
    "PairResult",
    "PixelBlend",
    "PublishedMethod",
    "Reel",
    "Rendered",
    "Stage",
    "compare",
    "evaluate",
    "read_pairs",
    "set_stage",
]
