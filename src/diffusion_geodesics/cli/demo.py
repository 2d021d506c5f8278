"""``geodesic demo``: a morph between the two example portraits."""

from pathlib import Path

from diffusion_geodesics.cli.interpolate import InterpolateCommand, run
from diffusion_geodesics.cli.options import Given, chosen, takes

OUTPUT = Path("geodesic-demo")


@takes(InterpolateCommand, "images")
def demo(*, options: Given = None) -> None:
    """Morph between the two example portraits with the model inside the package, into the folder
    geodesic-demo. Takes the options of interpolate.
    """
    given = {"output": OUTPUT, **(options or {})}
    run(chosen(InterpolateCommand, given, images=example_portraits()))


def example_portraits() -> tuple[Path, Path]:
    """The two example pictures: in the installed package, or in the checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "examples", package.parents[1] / "examples"):
        a, b = folder / "portrait_a.png", folder / "portrait_b.png"
        if a.is_file() and b.is_file():
            return a, b
    raise FileNotFoundError(f"the example pictures are not in {package}; install the package again")
