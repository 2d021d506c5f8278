"""What is derived from a batch at any time: a table, a summary, a gallery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from diffusion_geodesics.batch.manifest import BatchPair, Manifest, read_manifest
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.reporting.report import Sheet
from diffusion_geodesics.reporting.tables import csv_text
from diffusion_geodesics.runtime.delivery import replace_file
from diffusion_geodesics.runtime.jsonable import to_json, unicode_text

Row = dict[str, object]
PAGE = 500
"""Pairs on a page of the gallery."""
LEFT_OUT = {
    *("settings", "versions", "files", "program", "images", "model", "job", "stages"),
    *("quantities", "record", "skipped", "notes", "methods", "names", "warnings"),
}
"""Parts of a result that are no columns of a table."""
FIRST = ("name", "key", "status", "method", "a", "b")


def collect(out: Path) -> tuple[str, ...]:
    """Write the table, the summary and the gallery of a batch, whatever of it is done."""
    manifest = read_manifest(out)
    if manifest is None:
        raise ValueError(f"{out} holds no batch; name the folder of one")
    store = PairStore(out)
    results = {pair: _result(store, pair) for pair in manifest.pairs}
    failures = dict(store.failures())
    rows = [row for pair, found in results.items() for row in _rows(pair, found, failures)]
    columns = list(dict.fromkeys([*FIRST, *(name for row in rows for name in row)]))
    columns = [name for name in columns if any(row.get(name) is not None for row in rows)]
    files = {
        "table.csv": csv_text(Sheet(columns, [[row.get(c) for c in columns] for row in rows])),
        "summary.json": to_json(_summary(manifest, results, failures)),
        **_gallery(manifest, results, failures, out),
    }
    done = {pair: found for pair, found in results.items() if found is not None}
    if manifest.job == "compare" and done:
        files["methods.csv"] = _methods(done)
    if manifest.job == "distance" and done:
        from diffusion_geodesics.batch.jobs.distance import distances_csv

        files["distances.csv"] = distances_csv(manifest.header, done)
    for name, text in files.items():
        replace_file(out / name, text)
    return tuple(files)


def _result(store: PairStore, pair: BatchPair) -> Mapping[str, Any] | None:
    """What a pair's folder says; None where it is not done."""
    try:
        text = (store.pairs / pair.key / "result.json").read_text(encoding="utf-8")
    except OSError:
        return None
    return json.loads(text)


def _rows(
    pair: BatchPair, found: Mapping[str, Any] | None, failures: Mapping[str, Any]
) -> Iterator[Row]:
    """The rows of a pair: one, or one a method where methods were compared."""
    status = "done" if found is not None else "failed" if pair.key in failures else "left"
    row: Row = {"name": pair.name, "key": pair.key, "status": status, "a": pair.a, "b": pair.b}
    if found is None:
        yield row
    elif found.get("job") == "compare":
        for method, scores in found["pairs"][unicode_text(pair.name)].items():
            yield {**row, "method": method, **scores}
    else:
        codes = " ".join(warning["code"] for warning in found.get("warnings", ()))
        yield {**row, **dict(_columns(found)), "warnings": codes}


def _columns(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Every single number and text of a result, by its place."""
    for name, each in value.items():
        if name in LEFT_OUT:
            continue
        inner = each[0] if isinstance(each, list) and len(each) == 1 else each
        if isinstance(inner, Mapping):
            yield from _columns(inner, f"{above}{name}.")
        elif inner is not None and not isinstance(inner, list):
            yield f"{above}{name}", inner


def _summary(
    manifest: Manifest,
    results: Mapping[BatchPair, Mapping[str, Any] | None],
    failures: Mapping[str, Any],
) -> dict[str, object]:
    costs = [found["cost"] for found in results.values() if found and "cost" in found]
    done = sum(found is not None for found in results.values())
    return {
        "job": manifest.job,
        "pairs": len(results),
        "done": done,
        "failed": len(failures),
        "left": len(results) - done - len(failures),
        "nfe": sum(cost["nfe"] for cost in costs),
        "seconds": sum(cost["seconds"] for cost in costs),
        "failures": {failure.name: failure.reason for failure in failures.values()},
        "header": manifest.header,
    }


def _gallery(
    manifest: Manifest,
    results: Mapping[BatchPair, Mapping[str, Any] | None],
    failures: Mapping[str, Any],
    out: Path,
) -> dict[str, str]:
    """Pages with the strip of every pair, which link to the pairs' own."""
    pairs = list(results)
    starts = range(0, len(pairs), PAGE)
    names = ["index.html" if i == 0 else f"index-{i + 1}.html" for i in range(len(starts))]
    links = " ".join(f'<a href="{name}">{i + 1}</a>' for i, name in enumerate(names))
    done = sum(found is not None for found in results.values())
    title = f"{manifest.job}: {done} of {len(pairs)} pairs"
    head = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>'
        f"{escape(title)}</title><style>body{{font:16px system-ui,sans-serif;margin:2rem auto;"
        "max-width:70rem}img{max-width:100%;display:block}li{margin:1rem 0}</style></head><body>"
        f"<h1>{escape(title)}</h1>{f'<p>Pages: {links}</p>' if len(names) > 1 else ''}<ol>"
    )
    pages: dict[str, str] = {}
    for name, start in zip(names, starts, strict=True):
        items = (_item(p, results[p], failures, out) for p in pairs[start : start + PAGE])
        pages[name] = f"{head}{''.join(items)}</ol></body></html>\n"
    return pages


def _item(
    pair: BatchPair, found: Mapping[str, Any] | None, failures: Mapping[str, Any], out: Path
) -> str:
    name = escape(unicode_text(pair.name))
    if found is None:
        failure = failures.get(pair.key)
        why = "not done yet" if failure is None else f"failed: {unicode_text(failure.reason)}"
        return f"<li>{name}: {escape(why)}</li>\n"
    folder = f"pairs/{quote(pair.key)}"
    here = out / "pairs" / pair.key
    strip, page = ((here / file).is_file() for file in ("strip.png", "report.html"))
    target = "report.html" if page else "result.json"
    image = f'<img loading="lazy" src="{folder}/strip.png" alt="{name}">' if strip else ""
    return f'<li><a href="{folder}/{target}">{name}{image}</a></li>\n'


def _methods(done: Mapping[BatchPair, Mapping[str, Any]]) -> str:
    """Means and win rates of every method over all pairs; FID and the like need all frames."""
    import torch

    from diffusion_geodesics.comparison.result import ComparisonResult, Outcome, PairResult
    from diffusion_geodesics.measures import Better, Quantity
    from diffusion_geodesics.reporting.jobs.comparison import score_lines, table_sheet

    first = next(iter(done.values()))
    quantities = {
        name: Quantity(name, Better(about["better"]), about["about"])
        for found in done.values()
        for name, about in found["quantities"].items()
    }
    frames = torch.empty(2, 3, 0, 0)
    pairs: list[PairResult] = []
    for name, methods in (pair for found in done.values() for pair in found["pairs"].items()):
        outcomes = {method: Outcome(frames, _known(s)) for method, s in methods.items()}
        pairs.append(PairResult(name, frames, outcomes))
    same = {name: first[name] for name in ("methods", "baseline", "features", "seed")}
    result = ComparisonResult(quantities=list(quantities.values()), pairs=pairs, **same)
    return csv_text(table_sheet(result, score_lines(result)))


def _known(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in scores.items() if value is not None}
