"""What a result records about the model that made it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, final


@final
@dataclass(frozen=True)
class ModelInfo:
    """A model, for the record: the name it was asked for by, SHA-256 over its weights (64
    hexadecimal digits), what its score is where it is the score of no density, and where and in
    which precision its networks ran, such as ``"cuda:0"`` and ``"float32"``.
    """

    id: str
    hash: str
    caveat: str
    device: str
    dtype: str

    def as_dict(self) -> dict[str, str]:
        """Ready for JSON."""
        return asdict(self)

    @staticmethod
    def of(model: Any) -> ModelInfo:
        """The record of a `DiffusionModel` as it is now (its class is above this one);
        see `hash`."""
        dtype = str(model.dtype).removeprefix("torch.")
        return ModelInfo(model.id, model.hash, model.caveat, str(model.device), dtype)
