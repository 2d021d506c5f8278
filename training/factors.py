"""The factors of a cartoon portrait: what varies, how it is drawn, how it is told in words.

A `Factors` holds a batch of n portraits: scalars of shape (n,), colours of shape (n, 3) in [0, 1].
Colour names are not stored: a colour is called after the nearest entry of its palette, so that
in-between portraits have captions too.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Colour = tuple[float, float, float]

HAIR: Mapping[str, Colour] = {
    "black": (0.10, 0.08, 0.09),
    "brown": (0.36, 0.20, 0.10),
    "blond": (0.90, 0.72, 0.33),
    "red": (0.78, 0.28, 0.08),
    "white": (0.88, 0.88, 0.88),
    "blue": (0.18, 0.35, 0.80),
    "pink": (0.92, 0.42, 0.62),
}
SHIRT: Mapping[str, Colour] = {
    "red": (0.80, 0.15, 0.15),
    "orange": (0.95, 0.55, 0.12),
    "yellow": (0.93, 0.83, 0.20),
    "green": (0.18, 0.60, 0.28),
    "blue": (0.15, 0.33, 0.78),
    "purple": (0.50, 0.22, 0.65),
    "white": (0.90, 0.90, 0.90),
    "black": (0.14, 0.14, 0.16),
}
BACKGROUND: Mapping[str, Colour] = {
    "red": (0.80, 0.42, 0.40),
    "orange": (0.96, 0.72, 0.48),
    "yellow": (0.96, 0.90, 0.58),
    "green": (0.58, 0.80, 0.58),
    "blue": (0.52, 0.72, 0.92),
    "purple": (0.70, 0.58, 0.85),
    "white": (0.93, 0.93, 0.92),
    "gray": (0.52, 0.54, 0.57),
}
EYES: Sequence[Colour] = (
    (0.25, 0.15, 0.08),
    (0.15, 0.35, 0.65),
    (0.20, 0.45, 0.25),
    (0.35, 0.35, 0.38),
)

MIRRORED = ("yaw", "roll", "gaze", "light")
"""Factors that change sign in a mirror; all others stay."""

LOOKING = 0.35
"""|yaw| in radians above which a caption says left or right."""


@dataclass(frozen=True)
class Factors:
    """A batch of n portraits. Angles in radians; positive yaw faces the right side of the image."""

    yaw: Tensor
    pitch: Tensor
    roll: Tensor
    head_width: Tensor
    jaw: Tensor
    skin: Tensor
    hair_length: Tensor
    hairline: Tensor
    hair_volume: Tensor
    bald: Tensor
    nose: Tensor
    eye_spacing: Tensor
    eye_size: Tensor
    eye_open: Tensor
    gaze: Tensor
    brow: Tensor
    smile: Tensor
    mouth_open: Tensor
    mouth_width: Tensor
    beard: Tensor
    glasses: Tensor
    light: Tensor
    hair: Tensor
    shirt: Tensor
    background: Tensor
    eye: Tensor

    def __post_init__(self) -> None:
        n = self.yaw.shape[0] if self.yaw.ndim == 1 else -1
        for name, value in self.tensors().items():
            want = (n, 3) if name in COLOURS else (n,)
            if tuple(value.shape) != want:
                raise ValueError(f"factor {name} has shape {tuple(value.shape)}, expected {want}")

    def __len__(self) -> int:
        return self.yaw.shape[0]

    def tensors(self) -> dict[str, Tensor]:
        """Name to tensor, in field order; `Factors(**f.tensors())` is f."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def map(self, function: Callable[[str, Tensor], Tensor]) -> Factors:
        """A new batch with function(name, value) in place of every value."""
        return Factors(**{name: function(name, value) for name, value in self.tensors().items()})

    def select(self, index: int | slice | Sequence[int] | Tensor) -> Factors:
        """Portraits at the given positions, a batch again also for a single integer."""
        if isinstance(index, int):
            index = [index]
        return self.map(lambda _, value: value[index])

    def replace(self, **changes: Tensor | float) -> Factors:
        """The same portraits with some factors set; a number applies to the whole batch."""
        unknown = set(changes) - set(self.tensors())
        if unknown:
            raise ValueError(f"unknown factors {sorted(unknown)}; known: {list(self.tensors())}")
        return self.map(
            lambda name, value: (
                torch.as_tensor(changes[name], dtype=value.dtype).expand_as(value).clone()
                if name in changes
                else value
            )
        )

    def mirror(self) -> Factors:
        """The portraits whose renderings are the left-right flips of these."""
        return self.map(lambda name, value: -value if name in MIRRORED else value)

    def interpolate(self, other: Factors, t: float | Tensor) -> Factors:
        """(1 - t) self + t other, t a number or of shape (n,): the truth in between."""
        if len(self) != len(other):
            raise ValueError(f"cannot interpolate {len(self)} portraits with {len(other)}")
        others = other.tensors()

        def mix(name: str, value: Tensor) -> Tensor:
            weight = torch.as_tensor(t, dtype=value.dtype)
            if weight.ndim == 1 and value.ndim == 2:
                weight = weight[:, None]
            return torch.lerp(value, others[name], weight)

        return self.map(mix)


COLOURS = ("hair", "shirt", "background", "eye")
SCALARS = tuple(f.name for f in dataclasses.fields(Factors) if f.name not in COLOURS)


def concatenate(batches: Sequence[Factors]) -> Factors:
    """One batch out of several."""
    return batches[0].map(lambda name, _: torch.cat([batch.tensors()[name] for batch in batches]))


def sample_factors(n: int, generator: torch.Generator) -> Factors:
    """n independent portraits from the training distribution."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    def coin(probability: float) -> Tensor:
        return (torch.rand(n, generator=generator) < probability).float()

    def colour(palette: Sequence[Colour], noise: float) -> Tensor:
        index = torch.randint(len(palette), (n,), generator=generator)
        jitter = torch.randn(n, 3, generator=generator) * noise
        return (torch.tensor(palette)[index] + jitter).clamp(0, 1)

    return Factors(
        yaw=uniform(-0.95, 0.95),
        pitch=uniform(-0.22, 0.22),
        roll=uniform(-0.12, 0.12),
        head_width=uniform(0.66, 0.84),
        jaw=uniform(0, 1),
        skin=uniform(0, 1) ** 1.3,
        hair_length=uniform(0, 1),
        hairline=uniform(0.28, 0.62),
        hair_volume=uniform(0, 1),
        bald=coin(0.08),
        nose=uniform(0.75, 1.4),
        eye_spacing=uniform(0.28, 0.35),
        eye_size=uniform(0.14, 0.20),
        eye_open=uniform(0.45, 1.0),
        gaze=uniform(-0.6, 0.6),
        brow=uniform(-1, 1),
        smile=uniform(-1, 1),
        mouth_open=uniform(-0.8, 1).clamp(min=0),
        mouth_width=uniform(0.20, 0.32),
        beard=coin(0.25) * uniform(0.6, 1.0),
        glasses=coin(0.25),
        light=uniform(-1, 1),
        hair=colour(tuple(HAIR.values()), 0.025),
        shirt=colour(tuple(SHIRT.values()), 0.025),
        background=colour(tuple(BACKGROUND.values()), 0.025),
        eye=colour(EYES, 0.0),
    )


def colour_index(colours: Tensor, palette: Mapping[str, Colour]) -> Tensor:
    """Position of the nearest palette entry, for colours of shape (n, 3)."""
    entries = torch.tensor(tuple(palette.values()), dtype=colours.dtype, device=colours.device)
    return torch.cdist(colours, entries).argmin(dim=1)


def facing(yaw: float) -> str:
    """The word for a yaw: left, right or forward."""
    return "left" if yaw < -LOOKING else "right" if yaw > LOOKING else "forward"


def phrases(factors: Factors) -> list[dict[str, str]]:
    """For each portrait the phrases of its full caption, by topic and in order."""
    names = {
        topic: [tuple(palette)[i] for i in colour_index(factors.tensors()[topic], palette).tolist()]
        for topic, palette in (("hair", HAIR), ("shirt", SHIRT), ("background", BACKGROUND))
    }
    scalars = {name: factors.tensors()[name].tolist() for name in SCALARS}
    result: list[dict[str, str]] = []
    for i in range(len(factors)):
        row = {name: values[i] for name, values in scalars.items()}
        told: dict[str, str] = {}
        if row["mouth_open"] > 0.45 and abs(row["smile"]) < 0.5:
            told["mood"] = "surprised"
        else:
            smile = row["smile"]
            told["mood"] = "smiling" if smile > 0.33 else "sad" if smile < -0.33 else "serious"
        length = "long" if row["hair_length"] > 0.6 else "short"
        bald = row["bald"] > 0.5
        told["hair"] = "with no hair" if bald else f"with {length} {names['hair'][i]} hair"
        if row["glasses"] > 0.5:
            told["glasses"] = "with glasses"
        if row["beard"] > 0.3:
            told["beard"] = "with a beard"
        told["yaw"] = f"looking {facing(row['yaw'])}"
        told["shirt"] = f"{names['shirt'][i]} shirt"
        told["background"] = f"{names['background'][i]} background"
        skin = row["skin"]
        told["skin"] = f"{'light' if skin < 0.33 else 'dark' if skin > 0.66 else 'brown'} skin"
        result.append(told)
    return result


def caption(told: Mapping[str, str], rng: random.Random | None = None, drop: float = 0.0) -> str:
    """One caption out of `phrases`; with rng, each phrase is left out with probability drop."""
    kept = [topic for topic in told if rng is None or rng.random() >= drop]
    mood = f"{told['mood']} " if "mood" in kept else ""
    rest = [told[topic] for topic in kept if topic != "mood"]
    return " ".join([f"a portrait of a {mood}person", *rest])


WORDS = tuple(
    sorted(
        set(
            "a an the of and in on with no photo picture image portrait person man woman face head "
            "smiling sad serious surprised long short hair glasses beard looking left right "
            "forward shirt background skin light dark brown".split()
        )
        | set(HAIR)
        | set(SHIRT)
        | set(BACKGROUND)
    )
)
"""Every word a caption can use, and a few neighbours."""
