"""Keys that both kinds of the authors' files have, what they amount to here, and how files are
read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, ValidationError

from diffusion_geodesics.cli.console import say_notes
from diffusion_geodesics.latents.settings import ScoreKind
from diffusion_geodesics.runtime.settings import (
    JobSettings,
    SettingsError,
    SettingsGroup,
    one_line,
    unknown_name,
)
from diffusion_geodesics.runtime.settings_file import read_settings_file

TRAINING_STEPS = 1000
"""Time steps of the authors' schedule."""
MARGIN = 0.05
"""What a window over all time steps leaves out at both ends of the schedule, 50 of 1000."""
RATE = 0.005
"""Learning rate of text inversion, here and in their files."""
MODEL = "the file names no model: the embedded one is used; the authors' is model sd21"

Job = TypeVar("Job", bound=JobSettings)
File = TypeVar("File", bound="AuthorsGroup")
Notes = Iterator[tuple[str, str]]
"""Keys that have no effect here, or another one than in the authors' program, and what is done."""


class AuthorsGroup(SettingsGroup, strict=True):
    """Keys of a file, by the authors' names. Defaults are those of the published preset; None is
    for what nothing depends on."""


@dataclass(frozen=True)
class Mapped(Generic[Job]):
    """What a file asks for."""

    inputs: Mapping[str, Any]  # what is not of the job itself: images, folder, direction; by name
    settings: Job
    notes: tuple[str, ...]  # a line for each key that has no effect here, or another one

    @property
    def given(self) -> dict[str, Any]:
        """Inputs and settings by their flat names."""
        return {**self.settings.explicit(), **self.inputs}


class GradArgs(AuthorsGroup):
    """The estimate of the score."""

    grad_sample_range: int = Field(default=100, ge=-1)
    grad_weight_type: Literal["uniform", "increase", "decrease"] = "uniform"
    grad_guidance_0: float = 1.0
    grad_guidance_1: float = 1.0
    grad_sample_type: (
        Literal["ori_step", "forward_sample", "back_n_forward_sample"] | list[int]  # two time steps
    ) = "back_n_forward_sample"
    grad_batch_size: int = Field(default=10, ge=1)

    def score(self, level: float) -> dict[str, Any]:
        """The score at a noise level, by the names of settings."""
        if self.grad_sample_type == "ori_step":
            return {"score": ScoreKind.PUBLISHED, "window": 0.0, "window_nodes": 1}
        return {"score": ScoreKind.PUBLISHED_RANDOM, "window": self.half_width(level)}

    def half_width(self, level: float) -> float:
        """Of the window of time steps, as a fraction of the schedule."""
        if isinstance(self.grad_sample_type, list):
            if len(self.grad_sample_type) != 2:
                raise SettingsError(
                    f"grad_sample_type is {self.grad_sample_type}; expected two time steps"
                )
            low, high = self.grad_sample_type
            return min(abs(high - low) / 2 / TRAINING_STEPS, 0.999)
        if self.grad_sample_range == -1:
            return max(0.0, min(1 - MARGIN - level, level - MARGIN))
        return min(self.grad_sample_range / TRAINING_STEPS, 0.999)

    def notes(self, level: float) -> Notes:
        """What the estimate here does otherwise."""
        kind = self.grad_sample_type
        if kind == "forward_sample" or isinstance(kind, list):
            around = round(TRAINING_STEPS * self.half_width(level))
            yield (
                "grad_sample_type",
                f"a window has the level in its middle here; taken as ± {around} time steps",
            )
        if self.grad_weight_type != "uniform":
            yield "grad_weight_type", "time steps weigh alike here (uniform)"
        if self.grad_guidance_0 != self.grad_guidance_1 or self.grad_guidance_0 <= 0:
            why = "the prompt and the negative prompt weigh alike here, ½ each"
            yield "grad_guidance_0", why
            yield "grad_guidance_1", why
        yield "grad_batch_size", "not needed: all points of an iteration are one batch"


class TvArgs(AuthorsGroup):
    """Text inversion."""

    tv_lr: float = Field(default=RATE, gt=0)
    tv_steps: int = Field(default=0, ge=0)
    tv_batch_size: int = Field(default=2, ge=1)
    tv_ckpt_folder: str | None = None


class AuthorsFile(AuthorsGroup):
    """Keys that both kinds of files have."""

    noise_level: float = Field(default=0.6, gt=0, le=1)
    alpha: float = Field(default=0.002, ge=0)
    use_lerp_cond: bool = True
    sphere_constraint: bool = True
    test_name: str | None = None
    analysis_args: dict[str, Any] | None = None
    grad_args: GradArgs = GradArgs()
    tv_args: TvArgs = TvArgs()


def read_keys(cls: type[File], file: Path) -> File:
    """The keys of a file, of the types they must have."""
    content = read_settings_file(file)
    try:
        _demand_known(cls, content, "key")
        return cls.model_validate(content)
    except ValidationError as error:
        raise SettingsError(f"{file}: {one_line(error)}") from None
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from None


def _demand_known(cls: type[SettingsGroup], content: Mapping[str, Any], what: str) -> None:
    for key, value in content.items():
        if key not in cls.model_fields:
            raise SettingsError(unknown_name(str(key), cls.model_fields, what))
        inner = cls.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, SettingsGroup):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{key} is {value!r}; expected keys with values")
            _demand_known(inner, value, f"key in {key}")


def lines(keys: AuthorsGroup, notes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """A line for each note on a key that the file gives, and one for all that it leaves out."""
    given = dict(_given(keys))
    found = [f"{key} {given[key]}: {why}" for key, why in notes if key in given]
    if absent := ", ".join(_absent(keys)):
        found.append(f"left out, so as in the published preset: {absent}")
    return tuple(found)


def _given(keys: AuthorsGroup) -> Iterator[tuple[str, object]]:
    for name in sorted(keys.model_fields_set):
        value = getattr(keys, name)
        yield from _given(value) if isinstance(value, AuthorsGroup) else [(name, value)]


def _absent(keys: AuthorsGroup) -> Iterator[str]:
    for name in type(keys).model_fields:
        value = getattr(keys, name)
        if name not in keys.model_fields_set and value is not None:
            yield name
        elif isinstance(value, AuthorsGroup):
            yield from _absent(value)


def alone(**others: object) -> None:
    """Refuse another source of settings beside a file of the authors'."""
    if names := [name for name, value in others.items() if value is not None]:
        raise SettingsError(
            f"got authors_config and {' and '.join(names)}; give one of them, and single options"
        )


def over_authors(cls: type[Job], mapped: Mapped[Any], options: Mapping[str, Any]) -> Job:
    """The settings of a command, options above a file of the authors'; says the file's notes."""
    found = cls.of(**cls.layered(mapped.given, options))
    say_notes(mapped.notes)
    if "model" not in options:
        say_notes([MODEL])
    return found
