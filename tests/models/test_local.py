"""Listing local models: what is found, what is passed over, and that nothing heavy is imported."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffusion_geodesics.models import ModelError, local_models
from diffusion_geodesics.models.folders import EMBEDDED

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, in place of the user's."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def put(folder: Path, kind: str = "FluxPipeline") -> Path:
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(f'{{"_class_name": "{kind}"}}')
    return folder


def found(folder: Path) -> dict[str, tuple[str, str]]:
    """(class, family) of the models in a folder, by the names of their folders."""
    return {
        Path(model.name).name: (model.pipeline, model.family)
        for model in local_models([folder])
        if model.name != "embedded"
    }


def test_folders_are_told_apart(hub: Path, tmp_path: Path) -> None:
    put(tmp_path / "shelf" / "flux")
    put(tmp_path / "shelf" / "foreign", "KolorsPipeline")
    (put(tmp_path / "shelf" / "damaged") / "model_index.json").write_text("{")
    (put(tmp_path / "shelf" / "odd") / "model_index.json").write_text("[1]")
    (tmp_path / "shelf" / "empty").mkdir()
    (tmp_path / "shelf" / "a file").write_text("")
    assert found(tmp_path / "shelf") == {
        "flux": ("FluxPipeline", "Flux.1"),
        "foreign": ("KolorsPipeline", ""),
        "damaged": ("damaged", ""),
        "odd": ("damaged", ""),
    }
    with pytest.raises(ModelError, match="no folder"):
        local_models([tmp_path / "absent"])


def test_what_cannot_be_read_is_passed_over(hub: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    put(shelf / "good")
    (shelf / "dangling").symlink_to(tmp_path / "gone")
    (shelf / "loop").symlink_to(shelf / "loop")
    weights = put(shelf / "partly") / "unet"
    weights.mkdir()
    (weights / "diffusion_pytorch_model.safetensors").symlink_to(tmp_path / "gone")
    (weights / "other.safetensors").write_bytes(b"12345")
    put(shelf / "no index")
    (shelf / "no index" / "model_index.json").unlink()
    (shelf / "no index" / "model_index.json").symlink_to(tmp_path / "gone")
    assert set(found(shelf)) == {"good", "partly"}
    (partly,) = [model for model in local_models([shelf]) if model.name.endswith("partly")]
    assert partly.bytes == 5


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is readable to this user"
)
def test_unreadable_folders_are_passed_over(hub: Path, tmp_path: Path) -> None:
    for name, mode in (("good", 0o755), ("closed", 0o000), ("unlisted", 0o100)):
        put(tmp_path / "shelf" / name).chmod(mode)
    closed = put(hub / "models--a--b" / "snapshots" / COMMIT).parent
    closed.chmod(0o000)
    try:
        assert "good" in found(tmp_path / "shelf")
    finally:
        for folder in (closed, *(tmp_path / "shelf").iterdir()):
            folder.chmod(0o755)


def test_errors_of_the_system_are_passed_over(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user who may not read them, whoever runs the tests."""
    put(tmp_path / "shelf" / "good")
    put(tmp_path / "shelf" / "secret" / "inner")
    put(hub / "models--a--b" / "snapshots" / COMMIT)
    listdir = os.listdir

    def refuse(folder: Path) -> list[str]:
        if Path(folder).name in ("secret", "snapshots"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    assert set(found(tmp_path / "shelf")) == {"good"}
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: refuse(Path("secret")))
    assert found(tmp_path / "shelf") == {"good": ("damaged", "")}


def test_models_in_the_hubs_cache_are_found(hub: Path) -> None:
    put(hub / "models--someone--some--thing" / "snapshots" / COMMIT)
    put(hub / "datasets--someone--data" / "snapshots" / COMMIT)
    (hub / "models--someone--nothing").mkdir()
    (hub / "version.txt").write_text("1")
    models = [(m.name, m.family, m.revision, m.bytes) for m in local_models() if m.revision]
    assert models == [("someone/some/thing", "Flux.1", COMMIT, 0)]
    shutil.rmtree(hub)
    assert [model.name for model in local_models()] == ["embedded"]


def test_a_home_folder_may_be_abbreviated(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "models" / "flux")
    monkeypatch.setenv("HOME", str(tmp_path))
    names = [model.name for model in local_models(["~/models"])]
    assert names == ["embedded", str(tmp_path / "models" / "flux")]


def test_the_embedded_model_comes_first_with_its_weights(hub: Path) -> None:
    (model,) = local_models()
    assert (model.name, model.family) == ("embedded", "Stable Diffusion 1.x, 2.x")
    assert model.bytes == sum(file.stat().st_size for file in EMBEDDED.glob("*/*.safetensors"))
    assert model.bytes > 10_000_000


def test_nothing_heavy_is_imported() -> None:
    """Neither for the families nor for the list; the package's own root is left out of it."""
    source = EMBEDDED.parents[1]
    program = (
        "import sys, types\n"
        "root = types.ModuleType('diffusion_geodesics')\n"
        f"root.__path__ = [{str(source)!r}]\n"
        "sys.modules['diffusion_geodesics'] = root\n"
        "from diffusion_geodesics.models import FAMILIES, ModelError, ModelInfo, local_models\n"
        "local_models()\n"
        "heavy = {'torch', 'numpy', 'scipy', 'diffusers', 'transformers', 'safetensors'}\n"
        "print(len(FAMILIES), *heavy & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7"]
