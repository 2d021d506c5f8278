"""Errors cross from one process to another as they are: a pool of processes carries them so."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from diffusion_geodesics.measures.external import MissingWeightsError
from diffusion_geodesics.runtime.keyed_cache import DamagedEntryError
from diffusion_geodesics.runtime.storage import FolderTakenError, UnsavedError

FILE = Path("folder/file")


@pytest.mark.parametrize(
    "error",
    [
        DamagedEntryError(FILE, "cut off"),
        UnsavedError("the folder is kept", FILE),
        FolderTakenError("another was faster", FILE),
        MissingWeightsError("https://example.org/weights", FILE),
    ],
)
def test_an_error_arrives_with_all_that_it_holds(error: Exception) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
