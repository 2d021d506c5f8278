"""`geodesic models`: what it finds, as a table and as JSON."""

import json
import shutil
from pathlib import Path

import pytest

from diffusion_geodesics.models import FAMILIES, ModelError, local_models
from diffusion_geodesics.models.folders import EMBEDDED
from tests.cli.conftest import Geodesic


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder of three: one usable, one foreign, one damaged."""
    shutil.copytree(EMBEDDED, tmp_path / "usable")
    for name, text in (("foreign", '{"_class_name": "KolorsPipeline"}'), ("damaged", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").write_text(text)
    return tmp_path


def test_json_has_every_family_and_every_model(geodesic: Geodesic, shelf: Path) -> None:
    told = json.loads(geodesic("models", shelf, "--json", cwd=shelf).out)
    assert [family["name"] for family in told["families"]] == [f.name for f in FAMILIES]
    found = {model["name"]: model for model in told["found"]}
    assert found["embedded"]["family"] == FAMILIES[0].name
    usable = found[str(shelf / "usable")]
    assert (usable["family"], usable["bytes"]) == (
        FAMILIES[0].name,
        found["embedded"]["bytes"],
    )
    assert usable["bytes"] > 1_000_000
    assert found[str(shelf / "foreign")]["family"] == ""
    assert found[str(shelf / "damaged")]["pipeline"] == "damaged"


def test_the_table_names_them(geodesic: Geodesic, shelf: Path) -> None:
    table = geodesic("models", shelf / "foreign", cwd=shelf).out
    assert all(family.pipelines[0] in table for family in FAMILIES)
    assert "none opens a KolorsPipeline" in table
    assert "embedded" in table


def test_a_model_in_the_hubs_cache_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--something"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    (snapshot / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(tmp_path))
    (found,) = [model for model in local_models() if model.revision]
    assert (found.name, found.family, found.revision) == ("someone/something", "Flux.1", commit)
    assert found.bytes == 0


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder"):
        local_models([tmp_path / "absent"])
