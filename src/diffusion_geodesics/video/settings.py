"""Every choice of the analysis of clips."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from diffusion_geodesics.latents import settings as shared
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError

LEAST_FRAMES = 5  # frames without which no curve can be told from a line


def _moment(value: Any) -> Any:
    text = str(value).strip().lower() if isinstance(value, int | float | str) else value
    if isinstance(text, str) and not re.fullmatch(r"\d+(\.\d*)?s?|\d+f", text):
        raise ValueError("should be seconds such as 2.5, or a frame such as 60f")
    return text


Moment = Annotated[str | None, BeforeValidator(_moment), shared.AsText("SECONDS|FRAMEf")]
"""A place in a clip: ``"2.5"`` in seconds, ``"60f"`` a frame number."""


class ReadingSettings(shared.SettingsGroup):
    """Which frames of a clip are analysed."""

    title: ClassVar[str] = "Clip"

    fps: float | None = Field(default=None, gt=0, le=1000)
    """Frames a second to keep, at most what the clip has; all by default."""
    start: Moment = None
    """Where to begin: seconds, or a frame number such as 60f."""
    end: Moment = None
    """Where to stop, likewise."""
    stride: int = Field(default=1, ge=1, le=100_000)
    """Keep every so many frames."""
    stream: int | None = Field(default=None, ge=0, le=1000)
    """Video stream, from 0; the longest one by default."""
    cuts: bool = True
    """Split clips at cuts."""
    longest: int = Field(default=512, ge=LEAST_FRAMES, le=1_000_000)
    """Frames after which a shot is split, so that memory is bounded."""


class Windows(shared.SettingsGroup):
    """How a clip is held against geodesics."""

    title: ClassVar[str] = "Analysis"

    window: int = Field(default=17, ge=LEAST_FRAMES, le=100_000)
    """Frames that are compared with one geodesic; a shorter clip is one window."""
    half: int = Field(default=2, ge=1, le=1000)
    """Frames on either side that a velocity and an acceleration are fitted to."""
    controls: bool = True
    """Measure the controls as well: shuffled, reversed, slowed, random paths."""
    shown: int = Field(default=9, ge=0, le=1000)
    """Frames of each strip in the report; 0 decodes none."""


class VideoSolve(shared.BoundarySolve):
    """The boundary value solver."""

    tol: float = Field(default=1e-2, gt=0, le=1)
    """Relative Euler-Lagrange residual at which it stops."""
    max_steps: int = Field(default=30, ge=1, le=100_000)
    """Most steps on the finest level."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the controls and of all resampling."""


class VideoSettings(JobSettings):
    """Settings of :func:`diffusion_geodesics.analyze`."""

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (("alpha", "strength"),)

    reading: ReadingSettings = ReadingSettings()
    windows: Windows = Windows()
    prompts: shared.SharedPrompt = shared.SharedPrompt()
    framing: shared.Framing = shared.Framing()
    inversion: shared.Inversion = shared.Inversion()
    metric: shared.Strength = shared.Strength()
    solve: VideoSolve = VideoSolve()

    @property
    def least(self) -> int:
        """Frames that a shot must have."""
        return max(LEAST_FRAMES, 2 * self.windows.half + 1)

    def check(self) -> None:
        windows = self.windows
        if windows.window < self.least:
            raise SettingsError(
                f"window is {windows.window}; fits over {windows.half} frames on either side need "
                f"at least {self.least}"
            )
        if self.reading.longest < windows.window:
            raise SettingsError(
                f"longest is {self.reading.longest}; expected at least the window of "
                f"{windows.window} frames"
            )
        if windows.shown == 1:
            raise SettingsError("shown is 1; a strip has at least 2 frames, or none (0)")
