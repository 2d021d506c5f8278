"""Progress bars and tables of the command line."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from diffusion_geodesics.apps import Event, Interpolation
from diffusion_geodesics.apps.estimate import ADAPTIVE, Estimation

STAGES = {
    "load": "Loading the model",
    "encode": "Encoding",
    "text": "Optimising embeddings",
    "invert": "Inverting",
    "match": "Matching the images",
    "solve": "Solving for the geodesic",
    "march": "Following the ray",
    "measure": "Measuring",
    "pairs": "Solving for all pairs",
    "flow": "Following the flow, %",
    "decode": "Decoding the film",
    "compare": "Decoding the comparison",
    "write": "Writing",
}


class ProgressBars:
    """One bar a stage; a context manager that is called with events."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=console,
        )
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._progress.add_task(
                STAGES.get(event.stage, event.stage), total=None, detail=""
            )
        task = self._tasks[event.stage]
        total = event.of or None
        self._progress.update(task, completed=event.done, total=total, detail=event.detail)  # type: ignore[arg-type]


def summary_table(done: Interpolation) -> Table:
    """The figures worth seeing at once."""
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    for name in ("path", "length", "lowest log p", "highest", "noise energy", "lowest norm"):
        table.add_column(name, justify="left" if name == "path" else "right")
    for track in done.tracks:
        table.add_row(
            track.name,
            f"{track.length:.5g}",
            f"{float(track.log_density.min()):+.1f}",
            f"{float(track.log_density.max()):+.1f}",
            f"{track.least_energy:.2f}",
            f"{float(track.norm.min()):.1f}",
        )
    return table


def summary_line(done: Interpolation) -> str:
    """How the solver ended, how well the ends are reproduced, and the cost."""
    state = "" if done.solution is None else done.solution.result.name.replace("_", " ")
    residual = "" if done.solution is None else f", residual {float(done.solution.residual):.1e}"
    cost = done.ledger.total
    ends = "{:.1f} and {:.1f} dB".format(*done.endpoint_psnr)
    codec = "{:.1f} and {:.1f}".format(*done.codec_psnr)
    return (
        f"{state}{residual}; ends reproduced at {ends} (autoencoder alone {codec}); "
        f"{cost.rows} network rows, {done.ledger['solve'].rows} of them by the solver, "
        f"in {cost.seconds:.1f} s"
    ).removeprefix("; ")


def estimation_table(found: Estimation) -> Table:
    """A predicted cost, stage by stage."""
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    timed = found.row_seconds is not None
    for name in ("stage", "rows", "calls", "TFLOP", *(["seconds"] if timed else [])):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, cost in (*found.ledger.stages, ("total", found.ledger.total)):
        bound = "≤ " if name in ADAPTIVE or name == "total" else ""
        seconds = [f"{cost.seconds:.1f}"] if timed else []
        cells = (f"{bound}{cost.rows}", f"{bound}{cost.calls}", f"{cost.tflop:.4g}", *seconds)
        table.add_row(STAGES.get(name, name), *cells)
    return table


def quiet_libraries() -> None:
    """Keep the model libraries' own bars and notices out of the terminal."""
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
