"""``geodesic settings JOB``: every setting of a job, as a file to start from or as a schema."""

from importlib import import_module
from typing import Annotated, Any, Literal

from cyclopts import Parameter

CLASSES = {
    "interpolate": "interpolation.settings.InterpolationSettings",
    "extrapolate": "extrapolation.settings.ExtrapolationSettings",
    "analyze": "video.settings.VideoSettings",
    "distance": "image_sets.settings.DistanceSettings",
    "density": "image_sets.settings.DensitySettings",
    "compare": "comparison.settings.ComparisonSettings",
}
"""Job and the class of its settings."""
Job = Literal["interpolate", "extrapolate", "analyze", "distance", "density", "compare"]


def settings_class(job: str) -> Any:
    """The class of a job's settings."""
    module, _, name = CLASSES[job].rpartition(".")
    return getattr(import_module(f"diffusion_geodesics.{module}"), name)


def settings(job: Job, *, json_schema: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print every setting of a job with its default and its meaning.

    The text is a configuration file: geodesic settings interpolate > run.toml, then geodesic
    interpolate --config run.toml.

    Parameters
    ----------
    job
        Whose settings.
    json_schema
        Print the JSON schema of the settings instead.
    """
    if json_schema:
        from json import dumps

        print(dumps(settings_class(job).model_json_schema(), indent=2))
        return
    from diffusion_geodesics.runtime.settings_file import settings_toml

    print(settings_toml(job, settings_class(job)(), {"model": {"model": "embedded"}}), end="")
