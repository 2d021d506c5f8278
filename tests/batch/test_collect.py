"""Table, summary and gallery."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from diffusion_geodesics.batch.collect import PAGE, collect
from diffusion_geodesics.batch.manifest import BatchPair, settled_manifest
from diffusion_geodesics.batch.pair_store import Failure, PairStore


def planned(out: Path, job: str, names: list[str], **settings: object) -> list[BatchPair]:
    pairs = [BatchPair(name, f"/{name}_0.png", f"/{name}_1.png") for name in names]
    return list(settled_manifest(out, {"job": job, "settings": settings}, pairs).pairs)


def finished(out: Path, pair: BatchPair, result: Mapping[str, Any]) -> None:
    folder = PairStore(out).pairs / pair.key
    folder.mkdir(parents=True)
    (folder / "report.html").touch()
    (folder / "result.json").write_text(json.dumps(result))


def table(out: Path, name: str = "table.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_pair(tmp_path: Path) -> None:
    one, two, three = planned(tmp_path, "interpolate", ["a,b", "<i>", "left"])
    result = {
        "job": "interpolate",
        "length": {"natural": 2.5, "slerp": 3.0},
        "segments": [{"solver": {"result": "converged"}}],
        "log_density": [0.0, 1.0],
        "settings": {"steps": 25},
        "cost": {"nfe": 100, "seconds": 2.0, "stages": {}},
        "warnings": [{"code": "atypical"}, {"code": "poor_codec"}],
    }
    finished(tmp_path, one, result)
    PairStore(tmp_path).write_off(two.key, Failure("<i>", "<b> is no image", 1))
    files = collect(tmp_path)
    assert files == ("table.csv", "summary.json", "index.html")
    rows = table(tmp_path)
    assert [(r["name"], r["status"]) for r in rows] == [
        ("a,b", "done"),
        ("<i>", "failed"),
        ("left", "left"),
    ]
    assert rows[0]["length.slerp"] == "3.0"
    assert rows[0]["segments.solver.result"] == "converged"
    assert rows[0]["warnings"] == "atypical poor_codec"
    assert rows[0]["cost.nfe"] == "100"
    assert not any(name.startswith(("settings", "log_density")) for name in rows[0])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["done"], summary["failed"], summary["left"]) == (1, 1, 1)
    assert summary["nfe"] == 100
    page = (tmp_path / "index.html").read_text()
    assert "&lt;i&gt;: failed: &lt;b&gt; is no image" in page
    assert f'href="pairs/{one.key}/report.html"' in page
    assert "left: not done yet" in page
    assert three.key not in page
    assert collect(tmp_path) == files  # any time, any number of times


def test_many_pairs_have_several_pages(tmp_path: Path) -> None:
    planned(tmp_path, "interpolate", [f"p{i}" for i in range(PAGE + 1)])
    assert collect(tmp_path)[2:] == ("index.html", "index-2.html")
    assert (tmp_path / "index.html").read_text().count("<li>") == PAGE
    assert '<a href="index-2.html">2</a>' in (tmp_path / "index.html").read_text()


def test_methods_of_a_comparison_over_all_pairs(tmp_path: Path) -> None:
    pairs = planned(tmp_path, "compare", ["x", "y"])
    for pair, values in zip(pairs, ((1.0, 2.0), (3.0, 5.0)), strict=True):
        scores = {"slerp": {"PPL": values[1]}, "natural": {"PPL": values[0]}}
        result = {
            "job": "compare",
            "methods": ["slerp", "natural"],
            "baseline": "slerp",
            "features": "latents",
            "seed": 0,
            "quantities": {"PPL": {"better": "lower", "about": "length"}},
            "pairs": {pair.name: scores},
        }
        finished(tmp_path, pair, result)
    assert "methods.csv" in collect(tmp_path)
    [slerp, natural] = table(tmp_path, "methods.csv")
    assert (float(slerp["mean"]), float(natural["mean"])) == (3.5, 2.0)
    assert float(natural["wins"]) == 1.0
    rows = table(tmp_path)
    assert [(r["name"], r["method"], r["PPL"]) for r in rows] == [
        ("x", "slerp", "2.0"),
        ("x", "natural", "1.0"),
        ("y", "slerp", "5.0"),
        ("y", "natural", "3.0"),
    ]


def test_a_folder_without_a_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no batch"):
        collect(tmp_path)


def test_a_single_warning_is_its_code(tmp_path: Path) -> None:
    (pair,) = planned(tmp_path, "interpolate", ["one"])
    finished(tmp_path, pair, {"warnings": [{"code": "atypical", "message": "far away"}]})
    collect(tmp_path)
    assert table(tmp_path)[0].keys() == {"name", "key", "status", "a", "b", "warnings"}
    assert table(tmp_path)[0]["warnings"] == "atypical"
