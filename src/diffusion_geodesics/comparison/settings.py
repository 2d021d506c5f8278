"""Every choice of a comparison."""

from typing import ClassVar

from pydantic import Field

from diffusion_geodesics.latents.settings import Framing, Inversion, Metric, Prompts
from diffusion_geodesics.runtime.settings import JobSettings, SettingsGroup

KEPT_PAIRS = "compared-pair-4"
"""The kind of finished pairs in a cache, with the version of their form."""


class Measuring(SettingsGroup):
    """What is measured."""

    title: ClassVar[str] = "Measures"

    frames: int = Field(default=9, ge=3, le=10_000)
    """Frames of each strip, both ends included."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of all random choices."""


class ComparisonSettings(JobSettings):
    """Settings of :func:`diffusion_geodesics.compare`. Paths of every method are measured in the
    metric named here; methods that solve have settings of their own."""

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (("alpha", "strength"),)

    measuring: Measuring = Measuring()
    prompts: Prompts = Prompts()
    framing: Framing = Framing()
    inversion: Inversion = Inversion()
    metric: Metric = Metric()
