"""Frames between those of the head film against the true ones, window by window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks import rife
from benchmarks.evidence.methods import PacedOnce, PacedPath
from benchmarks.evidence.results import Measured, Table, described
from benchmarks.real.film import Images, Window, anchors
from benchmarks.real.networks import Identity, Landmarks
from benchmarks.record import Data
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.comparison.compare import context_of
from diffusion_geodesics.comparison.method import Context
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.rendered import eight_bits
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.images import psnr
from diffusion_geodesics.latents.encode import carry_up
from diffusion_geodesics.measures import Better, PerceptualDistance, Quantity
from diffusion_geodesics.measures.pacing import walked
from diffusion_geodesics.models import DiffusionModel

LENGTHS, EACH = (5, 9, 13), 3
"""Frames of the windows, ends included, and windows of each length."""
SETTINGS = ComparisonSettings.of(level=0.5, steps=20, start_noise=0.04)
METHODS = ("pixel", "lerp", "slerp", "geodesic", "geodesic:strength=3", "natural:strength=0")
"""The last is the morph along correspondences, not bent by the density. RIFE is added where it is
installed."""
TRUTH, HOLD = "truth, inverted and decoded", "nearer end, repeated"
SAME = "truth, through RIFE"
"""What is put between a true frame and itself: what enlargement and reduction cost."""
SEEN = 9
"""Images from which the arc length of a path is read."""
QUANTITIES = (
    Quantity("truth", Better.HIGHER, "dB to the true frames, all pixels", "a blend scores well"),
    Quantity("face", Better.HIGHER, "the same in an ellipse around the face"),
    Quantity("ST-LPIPS", Better.LOWER, "perceptual distance to the true frames"),
    Quantity(
        "landmarks", Better.LOWER,
        "distance of 468 landmarks to those of the true frame, in percent of the eyes' distance",
    ),
    Quantity("identity", Better.LOWER, "distance of the identity to that of the true frame"),
)  # fmt: skip


@final
@dataclass(frozen=True, eq=False)
class Judge:
    """What frames are measured with."""

    landmarks: Landmarks
    identity: Identity
    perceptual: PerceptualDistance

    def against(self, true: Images) -> Callable[[Images], dict[str, float]]:
        """What gives means over frames, each held against the true one in its place."""
        theirs, person = self.landmarks(true)[0], self.identity(true)
        eyes = anchors(theirs)[:, :2].diff(dim=1).norm(dim=2)
        inside, model = ellipse(true.shape[-1]), _enlarged(true)

        def measured(frames: Images) -> dict[str, float]:
            apart = (self.landmarks(frames)[0] - theirs).norm(dim=2)
            error = (frames - true)[..., inside].square().mean((1, 2))
            return {
                "truth": float(psnr(frames, true).mean()),
                "face": float(-10 * error.clamp_min(1e-12).log10().mean()),
                "ST-LPIPS": float(self.perceptual(_enlarged(frames), model).mean()),
                "landmarks": float(100 * (apart / eyes).mean()),
                "identity": float((self.identity(frames) - person).norm(dim=1).mean()),
            }

        return measured


def _enlarged(images: Images) -> Images:
    """Four times, since the perceptual network was made for large images."""
    return interpolate(images, scale_factor=4, mode="bilinear")


def ellipse(size: int) -> Tensor:
    """The pixels of the face in aligned images."""
    at = (torch.arange(size) + 0.5) / size
    return ((at - 0.5) / 0.24).square() + ((at[:, None] - 0.54) / 0.31).square() < 1


def at_true_steps(path: PacedPath, true: Images, inner: Sequence[int]) -> Images:
    """A path's images where it has gone the share of its length in pixels that the film has gone of
    its own."""
    gone = walked(true.flatten(1))
    even = torch.linspace(0, 1, SEEN, dtype=torch.float64)
    arc = walked(eight_bits((path.guess or path.render)(even)).flatten(1))
    wanted = gone[list(inner)] / gone[-1] * arc[-1]
    return eight_bits(path.render(torch.from_numpy(np.interp(wanted, arc, even.numpy()))))


def through(context: Context, images: Images) -> Images:
    """True frames inverted and decoded: what no method can be expected to beat."""
    encoded = context.noised.encoded
    clean = encoded.codec.encode(images).to(context.clean)
    up = carry_up(context.noised.parts, clean, encoded.conditions[0], context.noised.inversion)
    return eight_bits(context.render(up, torch.linspace(0, 1, len(images))))


def by_rife(true: Images, inner: Sequence[int]) -> dict[str, Images]:
    """RIFE's frames between the ends, and each frame between itself and itself."""

    def between(first: Tensor, last: Tensor, t: Tensor) -> Images:
        return rife.between(first, last, t).to(true)

    half = torch.tensor([0.5])
    same = torch.cat([between(true[k], true[k], half) for k in inner])
    path = PacedPath(lambda t: between(true[0], true[-1], t))
    return {rife.NAME: at_true_steps(path, true, inner), SAME: eight_bits(same)}


def measure_window(
    model: DiffusionModel,
    film: Images,
    window: Window,
    judge: Judge,
    methods: Sequence[str] = METHODS,
    settings: ComparisonSettings = SETTINGS,
) -> tuple[Data, dict[str, Images]]:
    """Scores, notes of solvers and network evaluations by method, for JSON; and the frames."""
    true = film[window.start : window.start + window.length]
    inner = [k - window.start for k in window.between]
    context = context_of(model, Pair(window.name, true[0], true[-1]), settings)
    ends = torch.stack([true[0], true[-1]])
    apart = torch.stack([(true[inner] - e).flatten(1).norm(dim=1) for e in ends])
    frames = {TRUTH: through(context, true[inner]), HOLD: ends[apart.argmin(0)]}
    notes, nfe = {}, {}
    for text in methods:
        before, method = context.run.costs.total.nfe, read_method(text)
        path = PacedOnce(method).path(context, window.name)
        if not isinstance(path, PacedPath):
            raise ValueError(f"{text} cannot be rendered anywhere; expected a path")
        frames[method.name] = at_true_steps(path, true, inner)
        nfe[method.name] = context.run.costs.total.nfe - before
        notes[method.name] = path.note
    if rife.installed():
        frames |= by_rife(true, inner)
    measured = judge.against(true[inner])
    scores = {name: measured(found) for name, found in frames.items()}
    row = {"window": window.name, "length": window.length, "scores": scores}
    return row | {"notes": notes, "nfe": nfe}, {"true frames": true[inner], **frames}


def strip(frames: Mapping[str, Images]) -> Images:
    """One picture, a row a method, enlarged four times."""
    rows = torch.cat([torch.cat(list(found), 2) for found in frames.values()], 1)
    return rows.repeat_interleave(4, 1).repeat_interleave(4, 2)


def studies(rows: Sequence[Data]) -> list[Data]:
    """Means with intervals over windows and wins over the baselines: of all, and by length."""
    lengths = sorted({row["length"] for row in rows})
    parts = {f"windows of {n} frames": [r for r in rows if r["length"] == n] for n in lengths}
    return [study(name, some) for name, some in {"all windows": rows, **parts}.items()]


def study(name: str, rows: Sequence[Data], quantities: Sequence[Quantity] = QUANTITIES) -> Data:
    """Some windows as they are written down."""
    pairs = {
        row["window"]: {m: Measured(scores, None, "") for m, scores in row["scores"].items()}
        for row in rows
    }
    level = SETTINGS.inversion.level
    return described(
        name, "true frames of films", Table(list(rows[0]["scores"]), quantities, pairs, level)
    )
