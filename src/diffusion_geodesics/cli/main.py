"""The command itself: which commands there are, and what happens when one fails.

Commands are imported when they are used, and each imports what it needs once its options are read,
so that help and complaints about options come at once.
"""

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them takes long

from cyclopts import App, CycloptsError, Parameter

from diffusion_geodesics.cli import failures
from diffusion_geodesics.version import __version__

COMMANDS = {
    "demo": "Morph between the two example portraits.",
    "interpolate": "Morph images into one another.",
    "extrapolate": "Go on from an image, or from the end of a clip, along a geodesic.",
    "analyze": "Measure how far clips are from density geodesics.",
    "distance": "Geodesic distances of all pairs of images.",
    "density": "Absolute log densities of images, with error bars.",
    "compare": "Compare methods of interpolation on the same images.",
    "batch": "Interpolate, measure or compare many pairs, on one machine or on many.",
    "evaluate": "Measure and rank strips of frames, whoever made them.",
    "estimate": "Predict what an interpolation will cost.",
    "settings": "Print every setting of a job: a configuration file, or a JSON schema.",
    "rerun": "Repeat a run from its folder, with options changed.",
    "web": "Open the page on which films are made.",
    "models": "List the model families, and the models on this machine.",
    "doctor": "Check this installation: versions, devices, models, disk, one tiny run.",
}
"""Name and purpose of every command; each is the function of its name in the file of its name."""
OWN_HELP = ("batch",)
"""Commands whose options depend on their arguments, so that they print their help themselves."""
PARSING: dict[str, Any] = {
    "suppress_keyboard_interrupt": False,
    "help_format": "plaintext",
    "default_parameter": Parameter(json_dict=False, json_list=False),  # text is what it is
}
"""How every parser works."""


def app() -> App:
    """The parser of the command line."""
    about = "Probability density geodesics in the latent space of diffusion models."
    version = f"geodesic {__version__}"
    found = App("geodesic", about, version=version, **PARSING)
    for name, purpose in COMMANDS.items():
        own = {"help_flags": (), "version_flags": ()} if name in OWN_HELP else {}
        place = f"diffusion_geodesics.cli.{name}:{name}"
        found.command(place, name=name, help=purpose, help_format="plaintext", **own)
    return found


def parse(parser: App, tokens: Sequence[str] | None = None) -> None:
    """Run what tokens, or the command line, ask for; errors are raised."""
    given = None if tokens is None else list(tokens)
    parser(given, exit_on_error=False, print_error=False, result_action="return_none")


def main() -> None:
    """Run the command line; exit with 0, with 1 for what failed, 2 for options that cannot be
    read, and 128 and the number of the signal that ended it (130 for Ctrl-C)."""
    warnings.filterwarnings("ignore")
    failures.make_printable()
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    try:
        parse(app())
        sys.stdout.flush()
    except KeyboardInterrupt:
        failures.stop()
    except failures.Interrupted as interrupted:
        failures.stop(interrupted.number)
    except CycloptsError as error:
        failures.say_error(" ".join(str(error).split()))
        sys.exit(2)
    except SystemExit:
        raise
    except BaseException as error:  # the last net: one line, and the traceback in a file
        failures.end_output()
        sys.exit(failures.report_failure(error))


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise failures.Interrupted(signum)
