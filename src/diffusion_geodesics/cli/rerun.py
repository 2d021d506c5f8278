"""``geodesic rerun OUT``: repeat a run from its folder."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import SettingsError
from diffusion_geodesics.runtime.settings_file import read_settings_file

JOBS = ("interpolate", "extrapolate", "analyze", "distance", "compare")
"""The commands whose folders can be repeated."""


def rerun(folder: Path, *options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Repeat a run from its folder, with options changed.

    The settings of the run are read from its settings.toml; without an option for another folder
    the results go beside it.

    Parameters
    ----------
    folder
        The folder of a run.
    options
        Any option of the command that made it, such as -o NEW --strength 1.
    """
    from diffusion_geodesics.cli.main import app, parse

    file = expand(folder) / "settings.toml"
    if not file.is_file():
        raise SettingsError(f"{folder} has no settings.toml; name the folder of a run")
    job = read_settings_file(file).get("job")
    if job not in JOBS:
        raise SettingsError(f"{file} is of the job {job!r}; expected one of {', '.join(JOBS)}")
    given = list(options)
    if not any(o in ("-o", "--output") or o.startswith("--output=") for o in given):
        given += ["--output", str(beside(expand(folder)))]
    print(f"geodesic {job} --config {file} {' '.join(given)}", file=sys.stderr)
    parse(app(), [job, "--config", str(file), *given])


def beside(folder: Path) -> Path:
    """A folder beside another one that does not exist yet."""
    number = 2
    while (found := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    return found
