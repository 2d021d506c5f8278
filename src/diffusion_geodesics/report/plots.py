"""Plots as SVG text: density along the path, typicality, convergence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from diffusion_geodesics.report.data import Convergence, Curve
from diffusion_geodesics.report.figure import COLOURS, GRID, INK, line_look, project_figure, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def density_plot(curves: Sequence[Curve], reference: str) -> str:
    """Log density along every path, as SVG.

    Arguments:
        curves: the path first, then those it is compared with.
        reference: what log density is relative to, to complete "log density relative to".
    """
    _need(curves)
    title = "Log density along the path"
    with project_figure(title) as (figure, (axes,)):
        axes.axhline(0, color=INK, linewidth=0.8, alpha=0.6)
        for i, curve in enumerate(curves):
            axes.plot(curve.t.tolist(), curve.log_density.tolist(), **line_look(i, curve.name))
        axes.set(xlabel="t (0 is the first image, 1 the second)", xlim=(0, 1))
        axes.set_ylabel(f"log density, nats\nrelative to {reference}")
        _legend(axes, len(curves))
        return to_svg(figure, title)


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
    with project_figure(title, len(shown)) as (figure, panels):
        for axes, part in zip(panels, shown, strict=True):
            for i, curve, values in part:
                axes.plot(curve.t.tolist(), values.tolist(), **line_look(i, curve.name))
            axes.set(xlabel="t", xlim=(0, 1))
            axes.set_title("norm of the latent" if part is norms else "noise energy σ‖s‖/√d")
            if part is energies and typical is not None:
                axes.axhspan(*typical, color=GRID, alpha=0.45, linewidth=0, label="typical")
        _legend(panels[-1], len(curves))
        return to_svg(figure, title)


def convergence_plot(convergence: Convergence) -> str:
    """Residual and, where known, length, one point an iteration, as SVG."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    residual = convergence.residual.tolist()
    steps = list(range(1, len(residual) + 1))
    title = "Convergence of the solver"
    with project_figure(title, 1 if convergence.length is None else 2) as (figure, panels):
        axes = panels[0]
        axes.semilogy(steps, residual, color=COLOURS[0], marker="o", markersize=3)
        axes.set_title("relative residual")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if convergence.tolerance is not None:
            axes.axhline(convergence.tolerance, color=COLOURS[1], linestyle="--", linewidth=1.2)
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
                steps, convergence.length.tolist(), color=COLOURS[0], marker="o", markersize=3
            )
            axes.set_title("length, relative to the reference")
        for axes in panels:
            axes.set_xlabel("iteration")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            _levels(axes, convergence)
        return to_svg(figure, title)


def _levels(axes: Axes, convergence: Convergence) -> None:
    """Mark where the solver went to a finer level."""
    if convergence.nodes is None:
        return
    nodes = convergence.nodes.tolist()
    for i, (before, after) in enumerate(itertools.pairwise(nodes)):
        if before != after:
            axes.axvline(i + 1.5, color=INK, linewidth=0.8, linestyle=":")
            axes.annotate(
                f"{before} → {after} nodes",
                (i + 1.5, 1),
                xycoords=("data", "axes fraction"),
                xytext=(4, -3),
                textcoords="offset points",
                verticalalignment="top",
                fontsize=8,
            )


def _legend(axes: Axes, count: int) -> None:
    axes.figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper left", ncols=min(count + 1, 5)
    )


def _need(curves: Sequence[Curve]) -> None:
    if not curves:
        raise ValueError("got no curve to draw")
