"""``geodesic extrapolate START ... -o OUT``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from cyclopts import Parameter
from pydantic import Field

from diffusion_geodesics.cli.options import ConfigOption, chosen, options_of
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.latents.settings import BoundarySolve
from diffusion_geodesics.runtime.settings import SettingsError, SettingsGroup, flat_fields

if TYPE_CHECKING:
    from diffusion_geodesics.extrapolation.directions import Direction


class DirectionSettings(SettingsGroup):
    """Where to go: exactly one of the first six."""

    title: ClassVar[str] = "Direction (exactly one of the first six)"

    towards: Path | None = None
    """Towards a second image; t = 1 is there."""
    past: Path | None = None
    """From the start past a second image."""
    to_prompt: str | None = None
    """Towards what a prompt says."""
    random: int | None = Field(default=None, ge=0, lt=2**63)
    """In a random direction with this seed."""
    vector: Path | None = None
    """Along the vector in a .npy or .safetensors file."""
    last: int | None = Field(default=None, ge=0, le=100_000)
    """As the last so many frames of the clip START move; odd, 5 is a good number."""
    chord: bool = False
    """With towards: the chord's velocity, not the geodesic's."""
    bend: bool = False
    """With last: fit a parabola, not a line."""
    away: str = ""
    """With to_prompt: what the image shows now."""

    CHOICES: ClassVar[tuple[str, ...]] = (
        "towards",
        "past",
        "to_prompt",
        "random",
        "vector",
        "last",
    )
    OWNERS: ClassVar[dict[str, str]] = {"chord": "towards", "bend": "last", "away": "to_prompt"}

    @property
    def given(self) -> list[str]:
        """The directions that were given."""
        return [name for name in self.CHOICES if getattr(self, name) is not None]

    @property
    def choice(self) -> str:
        """The one direction that was given."""
        given = self.given
        if len(given) != 1:
            got = " and ".join(given) if given else "no direction"
            raise SettingsError(f"got {got}; give exactly one of {', '.join(self.CHOICES)}")
        for name, owner in self.OWNERS.items():
            if getattr(self, name) and given != [owner]:
                raise SettingsError(f"{name} goes with {owner}, and the direction is {given[0]}")
        return given[0]


class ExtrapolateCommand(ExtrapolationSettings):
    """An extrapolation with its start, by which model, and where it goes."""

    start_image: Path | None = None
    """An image; with last a clip or folder of frames."""
    direction: DirectionSettings = DirectionSettings()
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()

    def inert(self) -> Mapping[str, str]:
        way = self.direction
        if way.past or (way.towards and not way.chord) or not way.given:
            return super().inert()
        reason = f"nothing is solved to go that way ({way.given[0]})"
        return {**super().inert(), **dict.fromkeys(flat_fields(BoundarySolve), reason)}


if TYPE_CHECKING:
    Options = dict[str, Any]
else:
    Options = options_of(ExtrapolateCommand, without=("start_image",))


def extrapolate(
    start: Path | None = None,
    /,
    *,
    config: ConfigOption = None,
    options: Annotated[Options | None, Parameter(name="*")] = None,
) -> None:
    """Go on from an image, or from the end of a clip, along a geodesic.

    Parameters
    ----------
    start
        An image; with --last a clip or a folder of frames.
    """
    run(chosen(ExtrapolateCommand, options, config, start_image=start))


def run(command: ExtrapolateCommand) -> None:
    """Check what can be checked, load, extrapolate, write."""
    from diffusion_geodesics.cli.console import ProgressBars, say, say_files, say_notes
    from diffusion_geodesics.cli.inputs import demand_clips, demand_images, demand_space
    from diffusion_geodesics.cli.interpolate import films
    from diffusion_geodesics.runtime.storage import check_folder

    output, where, start = command.output, command.direction, command.start_image
    choice = where.choice
    if start is None:
        raise SettingsError("got no image to start from; name one")
    check_folder(output.folder, overwrite=output.overwrite)
    if choice == "last":
        demand_clips([start])
    else:
        others = [p for p in (where.towards, where.past) if p is not None]
        demand_images([start, *others], least=1)
    with ProgressBars() as bars:
        from diffusion_geodesics.extrapolation.extrapolate import extrapolate as job
        from diffusion_geodesics.reporting.save import save

        direction = direction_of(where)
        model = command.model.load(bars)
        demand_space(output, model, command.framing, command.ray.frames)
        settings = part_of(ExtrapolationSettings, command)
        result = job(model, start, direction, settings, observer=bars)
        written = save(result, output.folder, overwrite=output.overwrite, observer=bars)
    ray, cost = result.ray, result.costs.total
    say(
        f"{ray.result.name.replace('_', ' ')} at {float(ray.t[-1]):.3g} ({result.launch.unit}); "
        f"log density {float(ray.log_density[-1]):+.1f} nats, noise energy "
        f"{float(ray.noise_energy[-1]):.2f} (start {float(ray.noise_energy[0]):.2f}), growth "
        f"{float(result.growth[-1]):.3g}; {cost.nfe} network evaluations in {cost.seconds:.1f} s"
    )
    say_notes(result.warnings)
    say_files(written.folder, ("strip.png", *films(written.files), "report.html", "result.json"))


def direction_of(where: DirectionSettings) -> "Direction":
    """The direction that was given."""
    from diffusion_geodesics.extrapolation.directions import (
        ClipVelocity,
        Past,
        RandomTangent,
        Towards,
        TowardsPrompt,
    )
    from diffusion_geodesics.extrapolation.vectors import read_vector

    where.choice  # noqa: B018 - complains about none, several, or an option of another one
    if where.towards is not None:
        return Towards(where.towards, straight=where.chord)
    if where.past is not None:
        return Past(where.past)
    if where.to_prompt is not None:
        return TowardsPrompt(where.to_prompt, where.away)
    if where.random is not None:
        return RandomTangent(where.random)
    if where.vector is not None:
        return read_vector(where.vector)
    return ClipVelocity(where.last or 0, where.bend)
