"""Plots as SVG text: density along the path, typicality, convergence.

Every plot takes its ink and grid colours from CSS variables `--ink` and `--grid` where the page
defines them, so one SVG serves light and dark pages; alone it is dark on a transparent ground.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from diffusion_geodesics.report.data import Convergence, Curve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# After Okabe and Ito: told apart with any colour vision. In order of use; line styles differ too.
_COLOURS = ("#0a84d6", "#e08a00", "#00a077", "#cc5f9f", "#8a6fd1", "#b0a000")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
# Stand-ins which are replaced by CSS variables once the SVG is written.
_INK, _GRID = "#1d1d1e", "#d8d8dd"


@contextmanager
def _figure(title: str, panels: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure and its panels, side by side; the project's looks hold while it is drawn."""
    import matplotlib
    from matplotlib.figure import Figure

    looks: dict[Any, Any] = {
        "axes.edgecolor": _GRID,
        "axes.grid": True,
        "axes.labelcolor": _INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": _INK,
        "axes.titlesize": 10,
        "axes.titleweight": "regular",
        "axes.unicode_minus": True,
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "grid.color": _GRID,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": _INK,
        "lines.linewidth": 1.8,
        "svg.fonttype": "path",
        "svg.hashsalt": title,
        "text.color": _INK,
        "text.parse_math": False,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with matplotlib.rc_context(looks):
        figure = Figure(figsize=(7.6, 3.2), layout="constrained")
        yield figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element whose neutral colours follow the page."""
    buffer = io.StringIO()
    metadata = {"Title": title, "Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return text.replace(_INK, f"var(--ink, {_INK})").replace(_GRID, f"var(--grid, {_GRID})")


def density_plot(curves: Sequence[Curve], reference: str) -> str:
    """Log density along every path, as SVG.

    Arguments:
        curves: the path first, then those it is compared with.
        reference: what log density is relative to, to complete "log density relative to".
    """
    _need(curves)
    title = "Log density along the path"
    with _figure(title) as (figure, (axes,)):
        axes.axhline(0, color=_INK, linewidth=0.8, alpha=0.6)
        for i, curve in enumerate(curves):
            axes.plot(curve.t.tolist(), curve.log_density.tolist(), **_look(i, curve.name))
        axes.set(xlabel="t (0 is the first image, 1 the second)", xlim=(0, 1))
        axes.set_ylabel(f"log density, nats\nrelative to {reference}")
        _legend(axes, len(curves))
        return _svg(figure, title)


def typicality_plot(curves: Sequence[Curve], typical: tuple[float, float] | None = None) -> str:
    """Norm and noise energy along every path, side by side, as SVG.

    Arguments:
        curves: the path first, then those it is compared with; those with neither are left out.
        typical: lowest and highest noise energy regarded as typical, drawn as a band.

    Raises:
        ValueError: no curve has a norm or a noise energy.
    """
    norms = [(i, curve, curve.norm) for i, curve in enumerate(curves) if curve.norm is not None]
    energies = [
        (i, curve, curve.noise_energy)
        for i, curve in enumerate(curves)
        if curve.noise_energy is not None
    ]
    shown = [part for part in (norms, energies) if part]
    if not shown:
        raise ValueError("no curve has a norm or a noise energy to draw")
    title = "Typicality along the path"
    with _figure(title, len(shown)) as (figure, panels):
        for axes, part in zip(panels, shown, strict=True):
            for i, curve, values in part:
                axes.plot(curve.t.tolist(), values.tolist(), **_look(i, curve.name))
            axes.set(xlabel="t", xlim=(0, 1))
            axes.set_title("norm of the latent" if part is norms else "noise energy σ‖s‖/√d")
            if part is energies and typical is not None:
                axes.axhspan(*typical, color=_GRID, alpha=0.45, linewidth=0, label="typical")
        _legend(panels[-1], len(curves))
        return _svg(figure, title)


def convergence_plot(convergence: Convergence) -> str:
    """Residual and, where known, length, one point an iteration, as SVG."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    residual = convergence.residual.tolist()
    steps = list(range(1, len(residual) + 1))
    title = "Convergence of the solver"
    with _figure(title, 1 if convergence.length is None else 2) as (figure, panels):
        axes = panels[0]
        axes.semilogy(steps, residual, color=_COLOURS[0], marker="o", markersize=3)
        axes.set_title("relative residual")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if convergence.tolerance is not None:
            axes.axhline(convergence.tolerance, color=_COLOURS[1], linestyle="--", linewidth=1.2)
            axes.annotate(
                "tolerance",
                (0.02, convergence.tolerance),
                xycoords=("axes fraction", "data"),
                xytext=(0, 3),
                textcoords="offset points",
            )
        if convergence.length is not None:
            axes = panels[1]
            axes.plot(
                steps, convergence.length.tolist(), color=_COLOURS[0], marker="o", markersize=3
            )
            axes.set_title("length, relative to the reference")
        for axes in panels:
            axes.set_xlabel("iteration")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            _levels(axes, convergence)
        return _svg(figure, title)


def _levels(axes: Axes, convergence: Convergence) -> None:
    """Mark where the solver went to a finer level."""
    if convergence.nodes is None:
        return
    nodes = convergence.nodes.tolist()
    for i, (before, after) in enumerate(itertools.pairwise(nodes)):
        if before != after:
            axes.axvline(i + 1.5, color=_INK, linewidth=0.8, linestyle=":")
            axes.annotate(
                f"{before} → {after} nodes",
                (i + 1.5, 1),
                xycoords=("data", "axes fraction"),
                xytext=(4, -3),
                textcoords="offset points",
                verticalalignment="top",
                fontsize=8,
            )


def _look(i: int, name: str) -> dict[str, Any]:
    """Colour, style and weight of the i-th path; the first is drawn above the others."""
    return {
        "color": _COLOURS[i % len(_COLOURS)],
        "linestyle": _STYLES[i % len(_STYLES)],
        "linewidth": 2.4 if i == 0 else 1.6,
        "zorder": 3 if i == 0 else 2,
        "label": f"\u200b{name}" if name.startswith("_") else name,
    }


def _legend(axes: Axes, count: int) -> None:
    axes.figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper left", ncols=min(count + 1, 5)
    )


def _need(curves: Sequence[Curve]) -> None:
    if not curves:
        raise ValueError("got no curve to draw")
