"""What a report is made from: plain, frozen data, with nothing about the model that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.report.video import Video


@final
@dataclass(frozen=True)
class Film:
    """The decoded frames of one path, in order.

    Arguments:
        name: what the path is called in captions, such as "geodesic".
        frames: images, shape (n, 3, height, width), RGB in [0, 1]; n >= 2.
        t: the curve parameter of each frame, shape (n,), not decreasing, in [0, 1].

    Raises:
        ValueError: too few frames, colours outside [0, 1], or times that do not fit the frames.
    """

    name: str
    frames: Float[Tensor, "frames 3 height width"]
    t: Float[Tensor, " times"]

    def __post_init__(self) -> None:
        n = len(self.frames)
        if n < 2:
            raise ValueError(f"{self.name}: got {n} frames; a path has at least its two ends")
        check_colours(self.frames, self.name)
        _check_parameter(self.t, self.name)
        if len(self.t) != n:
            raise ValueError(f"{self.name}: got {len(self.t)} times for {n} frames")


@final
@dataclass(frozen=True)
class Curve:
    """Quantities along one path, sampled as densely as they are known.

    Arguments:
        name: the name of the path; the same as that of its `Film` where there is one.
        t: curve parameter, shape (n,), not decreasing, in [0, 1].
        log_density: log density less the reference named in `Run.reference`, in nats, shape (n,).
        norm: Euclidean norm of the latent, shape (n,).
        noise_energy: σ‖s‖/√d, shape (n,); 1 where the latent carries the noise its level implies.

    Raises:
        ValueError: lengths that differ, or a parameter out of range.
    """

    name: str
    t: Float[Tensor, " times"]
    log_density: Float[Tensor, " densities"]
    norm: Float[Tensor, " norms"] | None = None
    noise_energy: Float[Tensor, " energies"] | None = None

    def __post_init__(self) -> None:
        _check_parameter(self.t, self.name)
        columns = {
            "log_density": self.log_density,
            "norm": self.norm,
            "noise_energy": self.noise_energy,
        }
        for column, values in columns.items():
            if values is not None and len(values) != len(self.t):
                raise ValueError(
                    f"{self.name}: {column} has {len(values)} values for {len(self.t)} times"
                )


@final
@dataclass(frozen=True)
class Convergence:
    """How the solver went, one entry an iteration.

    Arguments:
        residual: relative Euler-Lagrange residual, shape (n,), positive.
        length: length of the path in the metric, relative to the reference, shape (n,).
        nodes: number of intervals of the level the iteration ran on, shape (n,).
        tolerance: the residual at which the solver stops.

    Raises:
        ValueError: no iteration, or lengths that differ.
    """

    residual: Float[Tensor, " iterations"]
    length: Float[Tensor, " lengths"] | None = None
    nodes: Int[Tensor, " levels"] | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        n = len(self.residual)
        if n == 0:
            raise ValueError("got no iteration; leave convergence out where nothing was iterated")
        for column, values in {"length": self.length, "nodes": self.nodes}.items():
            if values is not None and len(values) != n:
                raise ValueError(f"{column} has {len(values)} values for {n} residuals")

    @property
    def refined(self) -> bool:
        """Whether the solver went from one level to another."""
        return self.nodes is not None and len(self.nodes.unique()) > 1


@final
@dataclass(frozen=True)
class Fact:
    """One line of a table: what, how much, and a remark that explains it."""

    label: str
    value: str
    note: str = ""


@final
@dataclass(frozen=True)
class StageCost:
    """What one stage of the run cost.

    Arguments:
        stage: its name, such as "solving".
        rows: evaluations of the network, counted in single latents.
        calls: evaluations counted in batches.
        seconds: wall-clock time.
    """

    stage: str
    rows: int
    calls: int
    seconds: float


@final
@dataclass(frozen=True)
class Run:
    """Everything that is written about one run.

    Arguments:
        title: headline of the report.
        first, last: the two images, each (3, height, width), RGB in [0, 1]; their sizes may differ
            from each other's and from the frames'.
        films: frames of the path, then of any paths it is compared with; at least one.
        curves: quantities along the path, then along those it is compared with.
        result: contents of result.json; `program` and `files` are added.
        tensors: contents of path.safetensors.
        status: one sentence on how the run ended.
        reference: what log densities are relative to, as it completes "log density relative to".
        facts: the figures worth seeing first.
        warnings: what the reader must know before believing the figures, in plain words.
        convergence: how the solver went, where there was one.
        typical: lowest and highest noise energy regarded as typical.
        cost: stages in the order they ran.
        settings: every setting of the run; mappings inside are shown with dotted names.
        versions: name and version of every package that matters.
        video: how the film is turned into video.

    Raises:
        ValueError: no film, or an image with colours outside [0, 1].
    """

    title: str
    first: Float[Tensor, "3 height_first width_first"]
    last: Float[Tensor, "3 height_last width_last"]
    films: tuple[Film, ...]
    curves: tuple[Curve, ...]
    result: Mapping[str, object]
    tensors: Mapping[str, Tensor]
    status: str = ""
    reference: str = "the mean of the two ends"
    facts: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()
    convergence: Convergence | None = None
    typical: tuple[float, float] | None = None
    cost: tuple[StageCost, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    video: Video = field(default_factory=Video)

    def __post_init__(self) -> None:
        if not self.films:
            raise ValueError("got no film; a run has at least the frames of its own path")
        check_colours(self.first, "the first image")
        check_colours(self.last, "the last image")


def check_colours(images: Float[Tensor, "*batch 3 height width"], name: str) -> None:
    """Refuse images that are not in [0, 1] (rounding apart), naming the likely cause."""
    low, high = images.min().item(), images.max().item()
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # so written that NaN is refused as well
        raise ValueError(
            f"{name}: colours must lie in [0, 1], got {low:.3g} to {high:.3g}; "
            "bring [-1, 1] there by (x + 1) / 2, and replace values that are not finite"
        )


def _check_parameter(t: Float[Tensor, " times"], name: str) -> None:
    if len(t) < 2:
        raise ValueError(f"{name}: got {len(t)} times; a path has at least its two ends")
    if not (t.min() >= -1e-6 and t.max() <= 1 + 1e-6 and (t.diff() >= 0).all()):
        raise ValueError(
            f"{name}: the curve parameter must go from 0 to 1 without turning back, "
            f"got values from {t.min():.4g} to {t.max():.4g}"
        )
