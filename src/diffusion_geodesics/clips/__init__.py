"""Clips: moving pictures of every kind, read frame by frame in bounded memory.

A clip is a video file, an animation, a folder of frames or a tensor. Frames come upright, in sRGB,
with square pixels, in the order of time and at the times that the file gives, and are brought to
the working size one by one as they are read.
"""

from diffusion_geodesics.clips.animation import AnimatedImage
from diffusion_geodesics.clips.clip import Clip, ClipError, Frame, LazyFrame
from diffusion_geodesics.clips.cuts import CutRule, Shot, shots
from diffusion_geodesics.clips.folder import FolderClip
from diffusion_geodesics.clips.opening import open_clip
from diffusion_geodesics.clips.reading import FrameNumber, Moment, Reading, Seconds
from diffusion_geodesics.clips.tensor import TensorClip
from diffusion_geodesics.clips.times import in_mean_intervals
from diffusion_geodesics.clips.video import VideoClip

__all__ = [
    "AnimatedImage",
    "Clip",
    "ClipError",
    "CutRule",
    "FolderClip",
    "Frame",
    "FrameNumber",
    "LazyFrame",
    "Moment",
    "Reading",
    "Seconds",
    "Shot",
    "TensorClip",
    "VideoClip",
    "in_mean_intervals",
    "open_clip",
    "shots",
]
