"""``geodesic extrapolate START ... -o OUT``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from diffusion_geodesics.cli import console, inputs
from diffusion_geodesics.cli.interpolate import films
from diffusion_geodesics.cli.options import (
    AuthorsOption,
    ConfigOption,
    Given,
    chosen,
    given,
    takes,
)
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
    as_drawn: bool = False
    """With random: a unit of t is the length of the random vector, not the norm of the start."""

    CHOICES: ClassVar = tuple("towards past to_prompt random vector last".split())
    OWNERS: ClassVar[dict[str, str]] = {
        "chord": "towards",
        "bend": "last",
        "away": "to_prompt",
        "as_drawn": "random",
    }

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


@takes(ExtrapolateCommand, "start_image")
def extrapolate(
    start: Path | None = None,
    /,
    *,
    config: ConfigOption = None,
    authors_config: AuthorsOption = None,
    options: Given = None,
) -> None:
    """Go on from an image, or from the end of a clip, along a geodesic.

    Parameters
    ----------
    start
        An image; with --last a clip or a folder of frames.
    """
    if authors_config is None:
        run(chosen(ExtrapolateCommand, options, config, start_image=start))
        return
    from diffusion_geodesics.cli.authors.ivp import read_ivp
    from diffusion_geodesics.cli.authors.keys import alone, over_authors

    alone(config=config)
    mapped, above = read_ivp(authors_config), given(options, start_image=start)
    way = set(DirectionSettings.CHOICES) & set(above)
    if way and not way & set(mapped.inputs):  # another direction than the file's
        kept = set(mapped.inputs) - set(DirectionSettings.model_fields)
        mapped = replace(mapped, inputs={name: mapped.inputs[name] for name in kept})
    run(over_authors(ExtrapolateCommand, mapped, above))


def run(command: ExtrapolateCommand) -> None:
    """Check what can be checked, load, extrapolate, write."""

    output, where, start = command.output, command.direction, command.start_image
    choice = where.choice
    if start is None:
        raise SettingsError("got no image to start from; name one")
    output.checked_folder()
    if choice == "last":
        inputs.demand_clips([start])
    else:
        others = [p for p in (where.towards, where.past) if p is not None]
        inputs.demand_images([start, *others], least=1)
    with console.ProgressBars() as bars:
        from diffusion_geodesics.extrapolation.extrapolate import extrapolate as job

        direction = direction_of(where)
        model = command.model.load(bars)
        inputs.demand_space(output, model, command.framing, command.ray.frames)
        settings = part_of(ExtrapolationSettings, command)
        result = job(model, start, direction, settings, observer=bars)
        written = output.save(result, bars)
    ray = result.ray
    density, energy = float(ray.log_density[-1]), ray.noise_energy
    console.say(
        f"{ray.result.name.replace('_', ' ')} at {float(ray.t[-1]):.3g} ({result.launch.unit}); "
        f"log density {density:+.1f} nats, noise energy {float(energy[-1]):.2f} (start "
        f"{float(energy[0]):.2f}), growth {result.final_growth}; "
        f"{console.cost_line(result.costs)}"
    )
    console.say_notes(result.warnings)
    names = ("strip.png", *films(written.files), "report.html", "result.json")
    console.say_files(written.folder, *names)


def direction_of(where: DirectionSettings) -> "Direction":
    """The direction that was given."""
    from diffusion_geodesics.extrapolation import directions
    from diffusion_geodesics.extrapolation.vectors import read_vector

    makers = {
        "towards": lambda path: directions.Towards(path, straight=where.chord),
        "past": directions.Past,
        "to_prompt": lambda prompt: directions.TowardsPrompt(prompt, where.away),
        "random": lambda seed: directions.RandomTangent(seed, where.as_drawn),
        "vector": read_vector,
        "last": lambda count: directions.ClipVelocity(count, where.bend),
    }
    return makers[where.choice](getattr(where, where.choice))
