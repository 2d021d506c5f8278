"""The configuration files in ``examples`` name every setting with its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffusion_geodesics.cli.analyze import AnalyzeCommand
from diffusion_geodesics.cli.distance import DistanceCommand
from diffusion_geodesics.cli.extrapolate import ExtrapolateCommand
from diffusion_geodesics.cli.interpolate import InterpolateCommand
from diffusion_geodesics.cli.options import chosen
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DistanceSettings
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.runtime.settings import JobSettings, flat_fields
from diffusion_geodesics.video.settings import VideoSettings

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "command", "job", "inputs"),
    [
        ("morph", InterpolateCommand, InterpolationSettings, ("images",)),
        ("ray", ExtrapolateCommand, ExtrapolationSettings, ("start_image", "past")),
        ("clip", AnalyzeCommand, VideoSettings, ("clips",)),
        ("distance", DistanceCommand, DistanceSettings, ("images",)),
    ],
)
def test_an_example_is_the_defaults_in_full(
    name: str, command: type[JobSettings], job: type[JobSettings], inputs: tuple[str, ...]
) -> None:
    file = EXAMPLES / f"{name}.toml"
    found = chosen(command, {}, file)
    assert part_of(job, found).as_nested() == job().as_nested()
    given = found.explicit()
    for key in inputs:
        for path in given[key] if isinstance(given[key], tuple) else (given[key],):
            assert path.is_file(), path
    text, inert = file.read_text(), job().all_inert()
    for key in set(flat_fields(job)) - set(inert):
        assert f"\n{key} = " in text or f"\n# {key} = " in text, key
    assert f"geodesic {found_job(text)} --config examples/{name}.toml" in text
    others = set(given) - set(flat_fields(job)) - set(inputs)
    assert others <= {*ModelSettings.model_fields, *OutputSettings.model_fields}


def found_job(text: str) -> str:
    """The job that a file names."""
    return text.split('job = "')[1].split('"')[0]
