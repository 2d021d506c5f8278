"""Clips of the portrait renderer: heads that turn, faces that change, light that moves.

Every clip is a line between two portraits, walked by a law of time: slow (the middle quarter of
the way, evenly), fast (all of the way in as many frames) or jerky (all of it, in uneven steps,
never back). The frame at any moment in between is known, so what a path puts there can be judged.

    python -m training.clips --folder runs/clips --heads 4
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor

from training.bank import held_out
from training.factors import Factors
from training.portraits import render

STREAM = 11
"""Offset of the held-out portraits that act in clips."""
SLOW_SHARE = 0.25


class Motion(Enum):
    """What moves."""

    TURN = "turn"
    EXPRESSION = "expression"
    LIGHT = "light"


class Law(Enum):
    """How time goes."""

    SLOW = "slow"
    FAST = "fast"
    JERKY = "jerky"


@dataclass(frozen=True)
class RenderedClip:
    """One actor, one motion, one law of time.

    - `first`, `last`: both ends of the whole motion, one portrait each.
    - `moments`: where on the way each frame is, in [0, 1], shape (frames,).
    """

    name: str
    first: Factors
    last: Factors
    moments: Tensor

    def factors(self, moments: Tensor) -> Factors:
        """The portraits at moments of the way: the truth in between."""
        index = [0] * len(moments)
        return self.first.select(index).interpolate(self.last.select(index), moments)

    def images(self, size: int = 128) -> Tensor:
        """All frames, (frames, 3, size, size) with values in [0, 1]."""
        return render(self.factors(self.moments), size)

    def truth(self, position: Tensor, size: int = 128) -> Tensor:
        """Renderings at positions between frames: 0 is the first, frames - 1 the last."""
        low = position.floor().long().clamp(0, len(self.moments) - 2)
        here = torch.lerp(self.moments[low], self.moments[low + 1], (position - low).float())
        return render(self.factors(here), size)


def moments(law: Law, frames: int, seed: int = 0) -> Tensor:
    """Where on the way each frame is, from 0 to 1; rising.

    Raises:
        ValueError: fewer than two frames.
    """
    if frames < 2:
        raise ValueError(f"got {frames} frames; a clip has at least 2")
    even = torch.linspace(0, 1, frames)
    if law is Law.FAST:
        return even
    if law is Law.SLOW:
        return 0.5 + SLOW_SHARE * (even - 0.5)
    steps = torch.rand(frames - 1, generator=torch.Generator().manual_seed(seed)) ** 3 + 0.02
    walked = torch.cat([torch.zeros(1), steps.cumsum(0)])
    return walked / walked[-1]


def ends(head: Factors, motion: Motion) -> tuple[Factors, Factors]:
    """The whole motion of one head: 40 degrees of yaw, sad to laughing, light from left to
    right."""
    if motion is Motion.TURN:
        return head.replace(yaw=-0.35), head.replace(yaw=0.35)
    if motion is Motion.EXPRESSION:
        sad = head.replace(smile=-0.9, mouth_open=0.0, eye_open=0.55)
        return sad, head.replace(smile=0.9, mouth_open=0.6, eye_open=1.0)
    return head.replace(light=-0.9), head.replace(light=0.9)


def make_clip(actor: int, motion: Motion, law: Law, frames: int = 17) -> RenderedClip:
    """The clip of a held-out head that no training step saw."""
    head = held_out(actor + 1, STREAM).select(actor)
    first, last = ends(head, motion)
    name = f"{motion.value}-{law.value}-{actor:02d}"
    return RenderedClip(name, first, last, moments(law, frames, seed=actor))


def write_mp4(images: Tensor, path: Path, fps: int = 25) -> None:
    """The frames as H.264, as they are: neither enlarged nor played back."""
    from diffusion_geodesics.reporting.films import write_films
    from diffusion_geodesics.reporting.playback import Lanczos, Once, Playback
    from diffusion_geodesics.reporting.video_formats import Mp4

    plain = Playback(fps=fps, hold=1, order=Once(), upscale=Lanczos(1))
    write_films(images, path.parent, [Mp4()], plain, stem=path.stem)


def main() -> None:
    parser = argparse.ArgumentParser(description="render clips of portraits")
    parser.add_argument("--folder", type=Path, default=Path("runs/clips"))
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for actor in range(options.heads):
        for motion in Motion:
            for law in Law:
                clip = make_clip(actor, motion, law, options.frames)
                write_mp4(clip.images(options.size), options.folder / f"{clip.name}.mp4")
                print(clip.name, flush=True)


if __name__ == "__main__":
    main()
