"""The figures of an interpolation: cards, a table of segments, and curves along the whole film."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from diffusion_geodesics.interpolation.result import ImageDistance, InterpolationResult, Segment
from diffusion_geodesics.interpolation.settings import PathName
from diffusion_geodesics.reporting.blocks import Block, Fact, Plot, Table
from diffusion_geodesics.reporting.jobs.common import cost_fact, model_fact
from diffusion_geodesics.reporting.plots import Band, Level, LinePlot, Mark, Panel, Trace

MOST_NAMED = 8  # segments up to which keyframes are named at their marks


class Shown(NamedTuple):
    """What a path is called."""

    film: str  # a film along it
    name: str
    words: str  # what it is


TITLES: Mapping[PathName, Shown] = {
    PathName.NATURAL: Shown(
        "A natural morph",
        "natural morph",
        "Warped along correspondences of the images",
    ),
    PathName.GEODESIC: Shown(
        "A density geodesic", "geodesic", "The shortest path through probable images"
    ),
    PathName.SLERP: Shown("A slerp morph", "slerp", "The great circle between the latents"),
    PathName.LERP: Shown("A lerp morph", "lerp", "The straight line between the latents"),
    PathName.HLERP: Shown(
        "An hlerp morph", "hlerp", "The direction of lerp, with a norm halfway to slerp's"
    ),
}
"""The paths of films."""


def shown(result: InterpolationResult) -> Shown:
    """The path of a film, with what was done to it."""
    path = TITLES[result.settings.path]
    if result.settings.path is not PathName.NATURAL:
        return path
    segments = result.segments
    if any(s.matches is None for s in segments):
        return path._replace(words="The geodesic, for want of features to match the images by")
    bent = ", bent by the density" * any(s.solution is not None for s in segments)
    mixed = any(s.mixture is not None for s in segments)
    sampled = "where the warped images are improbable" if mixed else "by the network everywhere"
    return path._replace(words=f"{path.words}{bent}, and sampled {sampled}")


def called(name: str) -> str:
    """A path in words."""
    return f"the {name}" if name == "geodesic" else name


def facts(result: InterpolationResult) -> Iterator[Fact]:
    """Cards; for a longer film over all of it."""
    path, own = shown(result), result.segments[0].profile
    measured = result.distance is not None and result.settings.path is not PathName.GEODESIC
    beside = "; distance and geodesic below are of the pair, not of this path" if measured else ""
    yield Fact("Path shown", path.name, f"{path.words[0].lower()}{path.words[1:]}{beside}")
    yield model_fact(result.model)
    if result.distance is not None:
        distance = f"{result.distance:.5g} ± {result.distance_error or 0.0:.1g}"
        strength = f"strength α·d = {result.alpha * result.dim:.3g}, α = {result.alpha:.3g}"
        about = "of the geodesic between the images"
        yield Fact("Distance", distance, f"{about}; {strength}, d = {result.dim}")
    moving = [s.metamorphosis for s in result.segments if s.metamorphosis is not None]
    if len(moving) == 1:
        yield Fact("Metamorphosis distance", *metamorphosis(moving[0]))
    lengths = {name: f"{length:.5g}" for name, length in result.lengths.items()}
    order = [name for name in (own.name, "geodesic") if name in lengths] or list(lengths)
    if lengths:
        first = order[0]
        none = [p.name for p in result.segments[0].profiles if not p.comparable]
        left = f"; not of {' and '.join(none)}, which leave its coordinates" if none else ""
        others = {name: value for name, value in lengths.items() if name != first}
        label = f"Length of {called(first)}"
        yield _among(label, {first: lengths[first], **others}, about=f"; in the metric{left}")
    moved = [s.matches.moved for s in result.segments if s.matches is not None]
    if moved:
        yield Fact(
            "Motion",
            f"{100 * sum(moved) / len(moved):.1f}% of the edge",
            "mean distance between places that correspond; the path follows them, and is shortest "
            "in no fixed metric",
        )
    sampled = [s.mixture.sampled for s in result.segments if s.mixture is not None]
    if sampled:
        yield Fact(
            "Sampled by the network",
            f"{100 * sum(sampled) / len(sampled):.0f}%",
            "of the film's area, where the warped images are less probable than both images; the "
            "rest shows them as they are",
        )
    lowest = {t.name: f"{min(t.y):+.1f}" for t in _traces(result, "log_density")}
    about = "; relative to the first image, at the noise level"
    yield _among("Log density, lowest", lowest, " nats", about)
    disagreement = max(s.density_disagreement for s in result.segments)
    about = "by how much the paths disagree on log p at the images; an exact score gives 0"
    yield Fact("Log density, error", f"{disagreement:.1f} nats", about)
    energy = {
        profiles[0].name: f"{min(float(p.noise_energy.min()) for p in profiles):.2f}"
        for profiles in zip(*(s.profiles for s in result.segments), strict=True)
    }
    ends = [float(s.profile.noise_energy[[0, -1]].min()) for s in result.segments]
    about = f"; of the images {min(ends):.2f}, of pure noise 1"
    yield _among("Noise energy σ‖s‖/√d, lowest", energy, about=about)
    alone = f"the autoencoder alone: {_decibels(result.codec_psnr)}"
    yield Fact("Images reproduced at", _decibels(result.keyframe_psnr), alone)
    yield cost_fact(result.costs)


def _among(label: str, values: Mapping[str, str], unit: str = "", about: str = "") -> Fact:
    """A figure of the path, with those of the paths that it is compared with."""
    (_, own), *others = values.items()
    note = ", ".join(f"{name} {value}" for name, value in others) + about
    return Fact(label, own + unit, note.removeprefix("; "))


def metamorphosis(found: ImageDistance) -> tuple[str, str]:
    """The distance with its error, and its parts."""
    square = found.distance**2
    share = found.motion / square if square > 0 else 0.0
    return (
        f"{found.distance:.3g} ± {found.error:.1g}",
        f"{100 * share:.0f}% of its square is motion ({found.motion:.2g}), the rest appearance "
        f"({found.appearance:.2g}); the error is the difference to two segments",
    )


def segment_table(result: InterpolationResult) -> Table:
    """One row a segment."""
    head = ["images", "length", "distance", "metamorphosis", "of it motion"]
    head += ["lowest log density", "noise energy", "solver"]
    note = "Lengths and distances add up to those of the film; log densities are relative to the "
    rows = [_row(segment) for segment in result.segments]
    return Table(head, rows, note=note + "first image of the segment.")


def _row(segment: Segment) -> tuple[str, ...]:
    length = distance = solver = moved = share = "–"
    if segment.profile.comparable:
        length = f"{segment.profile.length:.5g}"
    if (moving := segment.metamorphosis) is not None:
        moved = f"{moving.distance:.3g} ± {moving.error:.1g}"
        share = f"{100 * moving.motion / max(moving.distance**2, 1e-30):.0f}%"
    if segment.distance is not None:
        distance = f"{segment.distance:.5g} ± {segment.distance_error or 0.0:.1g}"
    if (solution := segment.solution) is not None:
        solver = f"{solution.result.name.replace('_', ' ')}, {float(solution.residual):.1e}"
    return (
        f"{segment.first + 1} → {segment.last + 1}",
        length,
        distance,
        moved,
        share,
        f"{float(segment.profile.log_density.min()):+.1f}",
        f"{float(segment.profile.noise_energy.min()):.2f}",
        solver,
    )


def _decibels(values: Sequence[float]) -> str:
    """Two values, or the range of more."""
    if len(values) == 2:
        return " and ".join(f"{x:.1f}" for x in values) + " dB"
    return f"{min(values):.1f} to {max(values):.1f} dB"


def density(result: InterpolationResult) -> Iterator[Block]:
    """Log density along the film, and of the paths that it is compared with."""
    first, title = Level(0.0, "the first image"), "log density less that of the first image, nats"
    yield Plot(LinePlot([_panel(result, title, "log_density", levels=[first])]))


def typicality(result: InterpolationResult) -> Plot:
    """Norm and noise energy along the film."""
    ends = result.segments[0].profile.noise_energy[[0, -1]]
    band = Band(0.75 * float(ends.min()), 1.25 * float(ends.max()), "typical")
    norm = _panel(result, "norm of the latent", "norm")
    energy = _panel(result, "noise energy σ‖s‖/√d", "noise_energy", bands=[band])
    return Plot(LinePlot([norm, energy]))


def _panel(result: InterpolationResult, title: str, quantity: str, **looks: Any) -> Panel:
    """A quantity over the whole film, with the keyframes of a longer one marked."""
    count, segments = len(result.segments), result.segments
    label, marks = "t, from the first image to the second", []
    if count > 1:
        numbers = [segment.first + 1 for segment in segments] + [segments[-1].last + 1]
        names = [f"image {n}" if count <= MOST_NAMED else "" for n in numbers]
        label, marks = "t, image by image", [Mark(float(i), name) for i, name in enumerate(names)]
    limits = (0.0, float(count))
    return Panel(title, label, _traces(result, quantity), marks=marks, limits=limits, **looks)


def _traces(result: InterpolationResult, quantity: str) -> list[Trace]:
    """A quantity of every path over the whole chain."""
    traces = []
    for which, profile in enumerate(result.segments[0].profiles):
        t, values, below = [], [], 0.0
        for number, segment in enumerate(result.segments):
            found = getattr(segment.profiles[which], quantity).cpu().double()
            t.append(number + segment.profiles[which].t.cpu())
            values.append(found + (below if quantity == "log_density" else 0.0))
            below += float(found[-1])
        traces.append(Trace(profile.name, torch.cat(t), torch.cat(values)))
    return traces
