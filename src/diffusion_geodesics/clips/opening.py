"""Whatever the user named, as a clip."""

from __future__ import annotations

from pathlib import Path

from diffusion_geodesics.clips.animation import AnimatedImage
from diffusion_geodesics.clips.clip import Clip, ClipError
from diffusion_geodesics.clips.folder import SUFFIXES, FolderClip
from diffusion_geodesics.clips.video import VideoClip

ANIMATIONS = frozenset(".gif .webp .png .apng".split())


def open_clip(path: str | Path, *, stream: int | None = None, folder_rate: float = 25.0) -> Clip:
    """A video file, an animation, or a folder of frames.

    Args:
        path: of the file or folder.
        stream: which video stream of a file with several, counted from 0.
        folder_rate: frames a second of a folder, which does not know its own.

    Raises:
        ClipError: it cannot be used; one line says why and what to do.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return FolderClip(path, folder_rate)
    if path.exists() and path.suffix.lower() in SUFFIXES - ANIMATIONS:
        raise ClipError(f"{path} is a still image; give a clip, or the folder of its frames")
    if path.suffix.lower() in ANIMATIONS:
        return AnimatedImage(path)
    clip = VideoClip(path, stream)
    if clip.count == 1:
        raise ClipError(f"{path} has a single frame; a clip needs several")
    return clip
