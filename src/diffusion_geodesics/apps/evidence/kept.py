"""Finished pairs on disk, each written whole, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from diffusion_geodesics.apps.evidence.comparison import Outcome, PairResult
from diffusion_geodesics.apps.evidence.folders import Pair


@dataclass(frozen=True)
class Kept:
    """A folder of finished pairs, or nothing.

    Args:
        folder: None to keep nothing.
        mark: tells one run from another.
    """

    folder: Path | None
    mark: str

    @staticmethod
    def open(folder: str | Path | None, made_with: tuple[object, ...]) -> Kept:
        """The folder, made where it is missing; ``made_with`` is all that results depend on."""
        mark = hashlib.sha256(repr(made_with).encode()).hexdigest()
        if folder is None:
            return Kept(None, mark)
        path = Path(folder).expanduser()
        path.mkdir(parents=True, exist_ok=True)
        return Kept(path, mark)

    def save(self, number: int, pair: Pair, result: PairResult) -> None:
        """Write one pair: whole, or not at all."""
        from safetensors.torch import save

        if self.folder is None:
            return
        tensors = {"ends": result.ends.float().contiguous()}
        about = []
        for k, (name, outcome) in enumerate(result.outcomes.items()):
            tensors[f"frames{k}"] = (outcome.frames * 255).round().to(torch.uint8).contiguous()
            about.append(
                {
                    "name": name,
                    "scores": dict(outcome.scores),
                    "note": outcome.note,
                    "failed": outcome.failed,
                }
            )
        metadata = {"mark": self._mark(pair), "outcomes": json.dumps(about)}
        file = self._file(number)
        staging = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            staging.write_bytes(save(tensors, metadata=metadata))
            os.replace(staging, file)
        finally:
            staging.unlink(missing_ok=True)

    def load(self, number: int, pair: Pair, methods: Sequence[str]) -> PairResult | None:
        """A finished pair; None where it is still to do.

        Raises:
            ValueError: a file that is damaged, or belongs to another run.
        """
        from safetensors import SafetensorError, safe_open

        if self.folder is None or not (file := self._file(number)).exists():
            return None
        try:
            with safe_open(file, framework="pt") as stored:
                metadata = stored.metadata() or {}
                if metadata.get("mark") != self._mark(pair):
                    raise ValueError(
                        f"{file} belongs to a run with other pairs, methods or settings; delete "
                        f"{self.folder} to start anew"
                    )
                outcomes = {
                    str(o["name"]): Outcome(
                        stored.get_tensor(f"frames{k}").float() / 255,
                        cast("dict[str, float]", o["scores"]),
                        str(o["note"]),
                        bool(o["failed"]),
                    )
                    for k, o in enumerate(json.loads(metadata["outcomes"]))
                }
                return PairResult(pair.name, stored.get_tensor("ends"), outcomes)
        except (SafetensorError, OSError, KeyError) as error:
            raise ValueError(f"{file} cannot be read ({error}); delete it to go on") from error

    def _file(self, number: int) -> Path:
        if self.folder is None:
            raise ValueError("nothing is kept; name a folder")
        return self.folder / f"{number:05d}.safetensors"

    def _mark(self, pair: Pair) -> str:
        """Of the run and of the pair with its images' content."""
        digest = hashlib.sha256(self.mark.encode())
        digest.update(repr((pair.name, pair.prompt_a, pair.prompt_b)).encode())
        for image in (pair.a, pair.b):
            digest.update(_content(image))
        return digest.hexdigest()


def _content(image: object) -> bytes:
    if isinstance(image, str | Path):
        path = Path(image).expanduser()
        return path.read_bytes() if path.is_file() else str(path).encode()
    if isinstance(image, Tensor):
        return image.detach().cpu().contiguous().numpy().tobytes()
    return cast("bytes", getattr(image, "tobytes", lambda: repr(image).encode())())
