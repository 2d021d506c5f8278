"""Whatever the user named, as a clip."""

import os

from diffusion_geodesics.clips.animation import AnimatedImage
from diffusion_geodesics.clips.clip import Clip, ClipError
from diffusion_geodesics.clips.folder import SUFFIXES, FolderClip
from diffusion_geodesics.clips.video import VideoClip
from diffusion_geodesics.runtime.paths import expand, printable

ANIMATIONS = frozenset(".gif .webp .png .apng .avif .avifs".split())
"""How the names of animations end."""


def open_clip(
    path: str | os.PathLike[str], *, stream: int | None = None, folder_rate: float = 25.0
) -> Clip:
    """A video file, an animation, or a folder of frames."""
    path = expand(path)
    suffix = path.suffix.lower()
    if stream is not None and (os.path.isdir(path) or suffix in ANIMATIONS):
        raise ClipError(f"{printable(path)} has no streams to choose from; leave the stream out")
    if os.path.isdir(path):
        return FolderClip(path, folder_rate)
    if os.path.exists(path) and suffix in SUFFIXES - ANIMATIONS:
        raise ClipError(
            f"{printable(path)} is a still image; give a clip, or the folder of its frames"
        )
    if suffix in ANIMATIONS:
        return AnimatedImage(path)
    clip = VideoClip(path, stream)
    if clip.count == 1:
        raise ClipError(f"{printable(path)} has a single frame; a clip needs several")
    return clip
