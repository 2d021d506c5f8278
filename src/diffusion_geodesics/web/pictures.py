"""The pictures of a film, in order: added, moved, removed. No Gradio, and no torch until one is
read."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from torch import Tensor

MOST = 12
"""Most pictures of one film."""
THUMBNAIL = 160
"""Longest edge of a thumbnail in pixels."""


@final
@dataclass(frozen=True)
class Entry:
    """One picture.

    Args:
        path: of the file on this machine.
        thumbnail: a data address.
        prompt: what it shows; empty for nothing said.
    """

    path: str
    thumbnail: str
    prompt: str = ""

    @property
    def name(self) -> str:
        """Of the file, as its owner knows it."""
        return Path(self.path).name


Entries = tuple[Entry, ...]


def entry(path: str, prompt: str = "") -> Entry:
    """A picture, read once.

    Raises:
        ImageError: it cannot be used; the message begins with its name.
    """
    from diffusion_geodesics.images import ImageError, read_image
    from diffusion_geodesics.reporting.pixels import to_image

    try:
        picture = read_image(path)
    except ImageError as error:
        raise ImageError(str(error).replace(path, Path(path).name)) from None
    image = to_image(picture.on())
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Entry(path, f"data:image/jpeg;base64,{data}", prompt)


def added(entries: Entries, paths: Sequence[str]) -> tuple[Entries, tuple[str, ...]]:
    """The pictures with more behind them, and a sentence on each that could not be taken."""
    found, problems = list(entries), []
    for path in paths:
        if len(found) >= MOST:
            problems.append(f"{MOST} pictures are the most for one film; the others were left out.")
            break
        try:
            found.append(entry(path))
        except ValueError as error:
            problems.append(f"{error}.")
    return tuple(found), tuple(problems)


def taken(files: Sequence[str] | None, least: int, what: str) -> Entries:
    """Pictures, each looked at.

    Raises:
        ValueError: too few, too many, or one that cannot be used.
    """
    given = list(files or [])
    if not least <= len(given) <= MOST:
        raise ValueError(f"{what} takes {least} to {MOST} pictures; got {len(given)}")
    entries, problems = added((), given)
    if problems:
        raise ValueError(problems[0].rstrip("."))
    return entries


def moved(entries: Entries, index: int, by: int) -> Entries:
    """With one picture further down (or up, by a negative number of places)."""
    target = index + by
    if not (0 <= index < len(entries) and 0 <= target < len(entries)):
        return entries
    found = list(entries)
    found.insert(target, found.pop(index))
    return tuple(found)


def removed(entries: Entries, index: int) -> Entries:
    """Without one picture."""
    return entries[:index] + entries[index + 1 :]


def prompted(entries: Entries, prompts: Sequence[str]) -> Entries:
    """With the prompts that stand beside the pictures."""
    return tuple(
        replace(e, prompt=(p or "").strip()) for e, p in zip(entries, prompts, strict=False)
    )


def prompt_setting(entries: Entries) -> dict[str, tuple[str, ...]]:
    """The setting that holds the prompts; empty where no picture has one."""
    prompts = tuple(e.prompt for e in entries)
    if not any(prompts):
        return {}
    return {"prompt": prompts[:1] if len(set(prompts)) == 1 else prompts}


def pixels(entries: Entries) -> list[Tensor]:
    """The pictures as tensors, with an alpha channel where they have one."""
    import torch

    from diffusion_geodesics.images import read_image

    read = [read_image(e.path) for e in entries]
    return [p.pixels if p.alpha is None else torch.cat([p.pixels, p.alpha[None]]) for p in read]


def named(result: Any, entries: Entries) -> Any:
    """A result whose pictures have the names of their files."""
    names = tuple(f"{number}. {e.name}" for number, e in enumerate(entries, 1))
    return replace(result, pictures=replace(result.pictures, names=names))
