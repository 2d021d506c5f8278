"""The nodes, called as ComfyUI's server calls them. ComfyUI itself is not installed here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from diffusion_geodesics.images import load_image
from diffusion_geodesics.runtime.settings import SettingsError
from tests.tiny_pipelines import tiny_pipeline

PACK = Path(__file__).parents[2] / "comfyui"
EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = 'path = "geodesic"\nsteps = 4\nmax_steps = 2\nfilm_only = true\nallow_atypical = true'
CORE_OUTPUTS = {"LoadImage": ["IMAGE", "MASK"], "ImageBatch": ["IMAGE"], "SaveAnimatedWEBP": []}


def load_pack(folder: Path) -> ModuleType:
    """As ComfyUI's load_custom_node: by its path, under a name that no import could have."""
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pack() -> Iterator[ModuleType]:
    before = set(sys.modules)
    yield load_pack(PACK)
    for name in set(sys.modules) - before:
        if str(PACK) in name:
            del sys.modules[name]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("comfyui")
    tiny_pipeline(folder / "tokenizer").save_pretrained(folder / "model")
    return str(folder / "model")


@pytest.fixture
def batch() -> torch.Tensor:
    """Two pictures as an IMAGE: (images, height, width, channels) with values in [0, 1]."""
    return torch.rand(2, 32, 32, 3, generator=torch.Generator().manual_seed(0))


class Server:
    """What of ComfyUI the nodes look up: the bar of a node, interruption, the output folder."""

    class InterruptedError(Exception):
        pass

    def __init__(self, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[tuple[int, int]] = []
        self.interrupt_after: int | None = None
        server = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total = total

            def update_absolute(self, value: int, total: int | None = None) -> None:
                server.shown.append((value, total or self.total))

        def check() -> None:
            if server.interrupt_after is not None and len(server.shown) > server.interrupt_after:
                raise Server.InterruptedError

        parts = {
            "comfy.utils": SimpleNamespace(ProgressBar=ProgressBar),
            "comfy.model_management": SimpleNamespace(
                throw_exception_if_processing_interrupted=check
            ),
            "folder_paths": SimpleNamespace(get_output_directory=lambda: str(outputs)),
        }
        for name, part in parts.items():
            monkeypatch.setitem(sys.modules, name, part)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path, monkeypatch)


def call(pack: ModuleType, kind: str, **inputs: Any) -> Any:
    """One node as execution.py runs it: a new object, its FUNCTION, in inference mode."""
    node = pack.NODE_CLASS_MAPPINGS[kind]
    check_inputs(node, inputs)
    with torch.inference_mode():
        found = getattr(node(), node.FUNCTION)(**inputs)
    outputs = found["result"] if isinstance(found, dict) else found
    assert len(outputs) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    return outputs


def check_inputs(node: Any, inputs: dict[str, Any]) -> None:
    """That the inputs are those that the server would let through."""
    declared = node.INPUT_TYPES()
    required, optional = declared["required"], declared.get("optional", {})
    assert set(required) <= set(inputs) <= {*required, *optional}
    for name, (kind, *options) in {**required, **optional}.items():
        if isinstance(kind, list) and name in inputs:
            assert inputs[name] in kind
        if kind == "INT" and name in inputs:
            assert options[0]["min"] <= inputs[name] <= options[0]["max"]


@pytest.mark.whole
def test_nothing_of_comfyui_is_imported() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(PACK.parent)!r}); import comfyui; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "comfyui.nodes" in done.stdout.split()
    assert not {"comfy", "folder_paths", "nodes", "server"} & set(done.stdout.split())


def test_every_node_is_declared_in_full(pack: ModuleType) -> None:
    assert set(pack.NODE_CLASS_MAPPINGS) == set(pack.NODE_DISPLAY_NAME_MAPPINGS)
    for node in pack.NODE_CLASS_MAPPINGS.values():
        assert callable(getattr(node, node.FUNCTION))
        assert node.CATEGORY
        for name, (kind, *_) in node.INPUT_TYPES()["required"].items():
            assert name.isidentifier()
            assert isinstance(kind, str | list)


@pytest.mark.whole
def test_a_morph_of_a_batch(
    pack: ModuleType, server: Server, model: str, batch: torch.Tensor
) -> None:
    (loaded,) = call(pack, "LoadGeodesicModel", model=model, device="cpu", dtype="float32")
    inputs: dict[str, Any] = {
        "keyframes": batch,
        "model": "embedded",
        "prompt": "a\nb",
        "frames": 3,
        "preset": "natural",
        "geodesic_model": loaded,
        "settings": QUICK,
    }
    frames, report = call(pack, "GeodesicMorph", **inputs)
    assert frames.shape == (3, 32, 32, 3)
    assert frames.dtype == torch.float32
    assert 0 <= float(frames.min()) < float(frames.max()) <= 1
    frames.add_(0)  # a later node may write into them
    assert Path(report).parent.name == "geodesic_morph_00001"
    told = json.loads((Path(report).parent / "result.json").read_text())
    assert told["settings"]["prompts"]["prompt"] == ["a", "b"]
    assert server.shown
    assert all(0 <= done <= total for done, total in server.shown)
    again, second = call(pack, "GeodesicMorph", **inputs)
    assert torch.equal(again, frames)
    assert Path(second).parent.name == "geodesic_morph_00002"


def test_distances_of_a_batch(
    pack: ModuleType, server: Server, model: str, batch: torch.Tensor
) -> None:
    inputs: dict[str, Any] = {"model": model, "prompt": "", "settings": "steps = 4\nmax_steps = 3"}
    mean, table, report = call(pack, "GeodesicDistance", images=batch, **inputs)
    rows = [[float(x) for x in line.split(",")] for line in table.splitlines()]
    assert rows[0][0] == 0 == rows[1][1]
    assert rows[0][1] == rows[1][0] == pytest.approx(mean, rel=1e-5)
    assert mean > 0
    assert Path(report).is_file()


def test_without_the_server_reports_go_to_the_temporary_folder(
    pack: ModuleType, model: str, batch: torch.Tensor, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _, report = call(
        pack,
        "GeodesicMorph",
        keyframes=batch,
        model=model,
        prompt="",
        frames=2,
        preset="slerp",
        settings="steps = 4\nfilm_only = true",
    )
    assert Path(report) == tmp_path / "geodesic_morph_00001" / "report.html"


def test_an_interruption_ends_the_run_and_writes_nothing(
    pack: ModuleType, server: Server, model: str, batch: torch.Tensor, tmp_path: Path
) -> None:
    server.interrupt_after = 5
    morph = {"keyframes": batch, "model": model, "prompt": "", "frames": 3, "preset": "natural"}
    with pytest.raises(Server.InterruptedError):
        call(pack, "GeodesicMorph", **morph, settings=QUICK)
    assert not list(tmp_path.glob("geodesic_morph*"))


def test_what_is_wrong_is_said(
    pack: ModuleType, server: Server, model: str, batch: torch.Tensor
) -> None:
    morph = {"model": model, "prompt": "", "frames": 3, "preset": "natural"}
    with pytest.raises(SettingsError, match="did you mean strength"):
        call(pack, "GeodesicMorph", keyframes=batch, **morph, settings="strenght = 1")
    with pytest.raises(SettingsError, match="write one a line"):
        call(pack, "GeodesicMorph", keyframes=batch, **morph, settings="strength 1")
    with pytest.raises(ValueError, match="at least 2|two images"):
        call(pack, "GeodesicMorph", keyframes=batch[:1], **morph)


def workflow(name: str) -> Any:
    return json.loads((PACK / "example_workflows" / name).read_text())


def test_the_example_workflow_runs(pack: ModuleType, server: Server, model: str) -> None:
    """The API form, node by node, with stand-ins for ComfyUI's own nodes."""
    prompt, done = workflow("geodesic_morph_api.json"), {}
    prompt["4"]["inputs"]["model"] = model
    prompt["5"]["inputs"] |= {"frames": 3, "settings": QUICK}
    for number, node in sorted(prompt.items(), key=lambda item: int(item[0])):
        inputs = {
            name: done[value[0]][value[1]] if isinstance(value, list) else value
            for name, value in node["inputs"].items()
        }
        if node["class_type"] == "LoadImage":
            done[number] = (load_image(EXAMPLES / inputs["image"]).movedim(0, -1)[None],)
        elif node["class_type"] == "ImageBatch":
            done[number] = (torch.cat([inputs["image1"], inputs["image2"]]),)
        elif node["class_type"] in pack.NODE_CLASS_MAPPINGS:
            done[number] = call(pack, node["class_type"], **inputs)
    assert done["5"][0].shape[0] == 3


def test_the_example_workflow_of_the_editor_fits_the_nodes(pack: ModuleType) -> None:
    flow, api = workflow("geodesic_morph.json"), workflow("geodesic_morph_api.json")
    nodes = {node["id"]: node for node in flow["nodes"]}
    for number, first, out, last, into, kind in flow["links"]:
        source, target = nodes[first], nodes[last]
        assert number in source["outputs"][out]["links"]
        assert target["inputs"][into]["link"] == number
        assert source["outputs"][out]["type"] == target["inputs"][into]["type"] == kind
        assert api[str(last)]["inputs"][target["inputs"][into]["name"]] == [str(first), out]
    for node in nodes.values():
        outputs = [o["type"] for o in node["outputs"]]
        if node["type"] not in pack.NODE_CLASS_MAPPINGS:
            assert outputs == CORE_OUTPUTS[node["type"]]
            continue
        known = pack.NODE_CLASS_MAPPINGS[node["type"]]
        assert outputs == list(known.RETURN_TYPES)
        declared = known.INPUT_TYPES()
        slots = {**declared["required"], **declared.get("optional", {})}
        linked = {i["name"]: i["type"] for i in node["inputs"]}
        assert linked == {n: k for n, (k, *_) in slots.items() if k in ("IMAGE", "GEODESIC_MODEL")}
        widgets = [name for name in slots if name not in linked]
        values = dict(zip(widgets, node["widgets_values"], strict=True))
        assert {**values} == {n: api[str(node["id"])]["inputs"][n] for n in widgets}
