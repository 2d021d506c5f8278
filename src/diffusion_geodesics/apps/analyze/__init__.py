"""How far clips are from geodesics: the analysis of moving pictures."""

from diffusion_geodesics.apps.analyze.analysis import Analysis
from diffusion_geodesics.apps.analyze.analyze import ClipSource, analyze
from diffusion_geodesics.apps.analyze.domain import Domain, Familiarity
from diffusion_geodesics.apps.analyze.figures import Figures
from diffusion_geodesics.apps.analyze.part import PartAnalysis
from diffusion_geodesics.apps.analyze.settings import AnalysisSettings
from diffusion_geodesics.apps.analyze.summary import Claim, Interval, Verdict, bootstrap_mean
from diffusion_geodesics.apps.analyze.variants import Variant

__all__ = [
    "Analysis",
    "AnalysisSettings",
    "Claim",
    "ClipSource",
    "Domain",
    "Familiarity",
    "Figures",
    "Interval",
    "PartAnalysis",
    "Variant",
    "Verdict",
    "analyze",
    "bootstrap_mean",
]
