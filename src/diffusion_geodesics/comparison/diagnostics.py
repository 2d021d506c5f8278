"""What must be known before the figures of a comparison are believed."""

from collections.abc import Iterator

from diffusion_geodesics.comparison.result import ComparisonResult
from diffusion_geodesics.runtime.diagnostic import Diagnostic

FEW_PAIRS = 20  # pairs below which methods are not ranked


def diagnose(result: ComparisonResult) -> tuple[Diagnostic, ...]:
    """Everything to know."""
    return tuple(_found(result))


def _found(result: ComparisonResult) -> Iterator[Diagnostic]:
    count = len(result.pairs)
    if count < FEW_PAIRS:
        few = f"{count} pair{'s do' if count > 1 else ' does'} not rank methods"
        yield Diagnostic("few_pairs", f"{few}; take {FEW_PAIRS} or more.")
    if strange := [pair for pair in result.pairs if pair.foreign]:
        names = [pair.name for pair in strange]
        where = f"On {len(strange)} of {count} pairs, such as {names[0]}: " if count > 1 else ""
        yield Diagnostic("foreign", where + strange[0].foreign, {"pairs": names})
    noted = [(m, o.note) for p in result.pairs for m, o in p.outcomes.items() if o.note]
    for method in dict.fromkeys(m for m, _ in noted):
        notes = [n for m, n in noted if m == method]
        yield Diagnostic("method", f"{method}, on {len(notes)} of {count} pairs: {notes[0]}.")
    if result.skipped:
        names = ", ".join(s.name for s in result.skipped)
        yield Diagnostic("not_measured", f"Not measured: {names}.")
