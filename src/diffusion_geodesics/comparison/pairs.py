"""Pairs of images from files, and frames from folders.

*MorphBench* (Zhang et al., DiffMorpher, 2023) is read as it is distributed: the folders
``Animation`` and ``Metamorphosis`` with the pictures ``NAME_0.EXT`` and ``NAME_1.EXT`` of each
pair. Any folder of such pictures serves. It has no prompts.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from diffusion_geodesics.clips import open_clip
from diffusion_geodesics.clips.folder import SUFFIXES, natural
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.runtime.paths import expand

COLUMNS = ("a", "b", "name", "prompt_a", "prompt_b")


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images to join."""

    name: str  # unlike that of any other pair of a run
    a: ImageSource
    b: ImageSource
    prompt_a: str | None = None  # what they show; None is the settings' prompt
    prompt_b: str | None = None


def read_pairs(source: str | Path) -> list[Pair]:
    """Pairs from a CSV, JSON or JSON lines file, or from a folder laid out like MorphBench.

    A CSV file has a header with ``a`` and ``b`` and may have ``name``, ``prompt_a`` and
    ``prompt_b``; a JSON file is a list of objects with these keys, a JSONL file one such object a
    line. Image paths are relative to the file.
    """
    path = expand(source)
    if path.is_dir():
        return _checked(_numbered(path), path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give a CSV or JSON file of pairs, or a folder")
    try:
        if path.suffix.lower() == ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines if line.strip()]
        elif path.suffix.lower() == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        else:
            raise ValueError(f"{path} is neither .csv, .json nor .jsonl")
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path} holds {type(rows).__name__}; expected a list of pairs")
    return _checked([_pair(row, i, path) for i, row in enumerate(rows)], path)


def _pair(row: object, number: int, path: Path) -> Pair:
    where = f"{path}, pair {number + 1}"
    if not isinstance(row, Mapping):
        raise ValueError(f"{where} is no object; expected the keys a and b")
    if unknown := [str(k) for k in row if k not in COLUMNS]:
        raise ValueError(f"{where} has {', '.join(unknown)}; expected {', '.join(COLUMNS)}")
    texts = {k: str(v) for k, v in row.items() if v not in (None, "")}
    if not {"a", "b"} <= set(texts):
        raise ValueError(f"{where} lacks an image; expected both a and b")
    a, b = (path.parent / expand(texts[k]) for k in ("a", "b"))
    name = texts.get("name", f"{number + 1:03d}-{a.stem}-{b.stem}")
    return Pair(name, a, b, texts.get("prompt_a"), texts.get("prompt_b"))


def _numbered(folder: Path) -> list[Pair]:
    """NAME_0 with NAME_1, in the folder and in its sub-folders."""
    files = [f for f in folder.glob("*") if f.is_file()] + list(folder.glob("*/*"))
    pictures = {f for f in files if f.suffix.lower() in SUFFIXES and not f.name.startswith(".")}
    first: dict[tuple[Path, str], Path] = {}
    last: dict[tuple[Path, str], Path] = {}
    for file in pictures:
        if found := re.fullmatch(r"(.+)_([01])", file.stem):
            (first if found[2] == "0" else last)[file.parent, found[1]] = file
    names = sorted(set(first) & set(last), key=lambda k: (k[0].name, natural(Path(k[1]))))
    if not names:
        raise ValueError(
            f"{folder} has no pairs; expected pictures NAME_0.png and NAME_1.png in it, or in "
            "folders in it such as Animation and Metamorphosis"
        )
    return [
        Pair((at / name).relative_to(folder).as_posix(), first[at, name], last[at, name])
        for at, name in names
    ]


def _checked(pairs: Sequence[Pair], path: Path) -> list[Pair]:
    if not pairs:
        raise ValueError(f"{path} holds no pairs")
    count = Counter(slug(p.name) for p in pairs)
    if doubled := {p.name for p in pairs if count[slug(p.name)] > 1}:
        names = ", ".join(sorted(doubled))
        raise ValueError(f"{path} has more than one pair called {names}; give each a name")
    return list(pairs)


def slug(name: str) -> str:
    """A name that is safe as that of a file."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed"


def strips_in(folder: Path) -> dict[str, Path]:
    """Folders of frames under a folder, by the name of the pair.

    A folder with pictures, or with ``frames`` in it, is one strip, called "" ; otherwise every
    folder in it that is one, called by its name.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give one with frames, as PNG, JPEG or WebP")
    if own := _strip(folder):
        return {"": own}
    inside = {f.name: _strip(f) for f in sorted(folder.iterdir(), key=natural) if f.is_dir()}
    found = {name: strip for name, strip in inside.items() if strip is not None}
    if not found:
        expected = f"pictures in it, in {folder.name}/frames, or in one folder a pair"
        raise ValueError(f"{folder} has no frames; expected {expected}")
    return found


def _strip(folder: Path) -> Path | None:
    inner = folder / "frames"
    for at in (inner, folder) if inner.is_dir() else (folder,):
        if at is folder and (folder / "result.json").is_file():
            continue  # one of our runs: strip.png beside it is no frame
        if sum(f.suffix.lower() in SUFFIXES and f.is_file() for f in at.iterdir()) >= 2:
            return at
    return None


def frames_of(folder: Path, pair: str) -> list[Tensor]:
    """The frames that a folder holds for a pair, in natural order."""
    strips = strips_in(folder)
    chosen = strips.get("") or strips.get(pair) or strips.get(slug(pair))
    if chosen is None:
        names = ", ".join(list(strips)[:5])
        raise ValueError(f"{folder} has no frames of the pair {pair}; it has {names}")
    images = [p.load() for p in open_clip(chosen).pictures(None)]
    if len(images) < 3:
        raise ValueError(f"{chosen} has {len(images)} frames; a strip needs at least 3")
    return images
