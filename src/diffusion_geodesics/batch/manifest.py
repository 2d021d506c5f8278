"""What a batch is to do: a file of JSON lines, written once.

The first line says what all pairs have in common (job, model, settings); every other line is a
pair. A pair is known by its key: a hash of both images' bytes, the prompts, and the first line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, final

from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.paths import printable
from diffusion_geodesics.runtime.storage import PROGRAM, write_file

FILE = "manifest.jsonl"
SHOWN = 4
"""Most differences that are named."""


@final
@dataclass(frozen=True)
class BatchPair:
    """A pair of a batch."""

    name: str  # for people
    a: str  # paths of the images
    b: str
    prompt_a: str | None = None  # what they show; None is the settings' prompt
    prompt_b: str | None = None
    key: str = ""  # name of its folder; empty before it is planned
    unread: tuple[str, ...] = ()  # which of a and b could not be read when it was planned


@final
@dataclass(frozen=True)
class Manifest:
    """A planned batch."""

    header: Mapping[str, Any]  # job, model and settings, as JSON holds them
    pairs: tuple[BatchPair, ...]  # with their keys

    @property
    def job(self) -> str:
        """Name of the job."""
        return str(self.header["job"])

    def text(self) -> str:
        """The content of the file."""
        lines = [{"program": PROGRAM, **self.header}, *(_line(pair) for pair in self.pairs)]
        return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)

    def differences(self, other: Manifest) -> list[str]:
        """What is not the same in another manifest, a phrase each."""
        mine, theirs = _flat(self.header), _flat(other.header)
        found = [
            f"{name} was {json.dumps(mine.get(name))} and is {json.dumps(theirs.get(name))}"
            for name in sorted({*mine, *theirs})
            if mine.get(name) != theirs.get(name)
        ]
        if found:  # then all keys differ
            return found
        before, now = ({(p.name, p.a, p.b): p.key for p in m.pairs} for m in (self, other))
        other_keys = [n for n in before if n in now and before[n] != now[n]]
        found += [f"the pair {printable(n[0])} is new" for n in now if n not in before]
        found += [f"the pair {printable(n[0])} is gone" for n in before if n not in now]
        changed = "the images or prompts of {} have changed"
        return found + [changed.format(printable(n[0])) for n in other_keys]


def read_manifest(out: Path) -> Manifest | None:
    """The manifest of a batch; None where there is none."""
    file = out / FILE
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    try:
        header, *rows = (json.loads(line) for line in lines)
        if header.pop("program") != PROGRAM:
            raise ValueError("another program wrote it")
        pairs = tuple(BatchPair(**{**row, "unread": tuple(row["unread"])}) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} is no manifest of a batch ({error}); choose another folder"
        ) from error
    return Manifest(header, pairs)


def settled_manifest(out: Path, header: Mapping[str, Any], pairs: Sequence[BatchPair]) -> Manifest:
    """The manifest of a batch, written if it is not there."""
    known = read_manifest(out)
    if known is None:
        planned = plan(header, pairs)
        try:
            write_file(out / FILE, planned.text())
            return planned
        except FileExistsError:  # another process was faster
            known = read_manifest(out) or planned
    unread = frozenset(path for pair in known.pairs for path in pair.unread)
    planned = plan(json.loads(json.dumps(header)), pairs, unread)
    if planned == known:
        return known
    found = planned_differences(known, planned)
    raise ValueError(
        f"{out} holds another batch: {found}; choose another folder, or go on with what it was "
        "begun with"
    )


def planned_differences(known: Manifest, planned: Manifest) -> str:
    """What differs, in one line."""
    found = known.differences(planned) or ["the order of the pairs has changed"]
    more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def plan(
    header: Mapping[str, Any], pairs: Sequence[BatchPair], unread: frozenset[str] = frozenset()
) -> Manifest:
    """Pairs with their keys."""

    @cache
    def content(path: str) -> str | None:
        if path in unread:
            return None
        try:
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def keyed(pair: BatchPair) -> BatchPair:
        missing = tuple(path for path in (pair.a, pair.b) if content(path) is None)
        images = [content(path) or f"unread {path}" for path in (pair.a, pair.b)]
        key = content_key(header, images, pair.prompt_a, pair.prompt_b)[:32]
        return replace(pair, key=key, unread=missing)

    return Manifest(header, tuple(keyed(pair) for pair in pairs))


def _line(pair: BatchPair) -> dict[str, Any]:
    return {name: value for name, value in asdict(pair).items() if value is not None}


def _flat(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in value.items():
        if isinstance(each, Mapping):
            found |= _flat(each, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = each
    return found


def shard_of(pairs: Sequence[BatchPair], shard: tuple[int, int]) -> Iterator[BatchPair]:
    """The share of one of several equal batches, every count-th pair, each key once."""
    number, count = shard
    unique = dict.fromkeys(pair.key for pair in pairs)
    mine = set(list(unique)[number - 1 :: count])
    for pair in pairs:
        if pair.key in mine:
            mine.remove(pair.key)
            yield pair
