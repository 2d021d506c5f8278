"""What distances between images say of what they show: digits, rendered portraits, a man who talks.

Each row is an area under the curve: how often what should be near is nearer than what should not. A
part whose data are not there is skipped. The folder of the data is DIFFUSION_GEODESICS_DATA, or
shared/data beside the repository.

    python -m benchmarks.distances --write benchmarks/results
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import cyclopts
import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn.functional import avg_pool2d

from benchmarks.distances.images import (
    FILM,
    WEIGHTS,
    changes,
    digit_images,
    faces,
    in_colours_of,
    means,
    persons,
)
from benchmarks.distances.metrics import Between, euclid, geodesics, learned, moving, square
from benchmarks.evidence.digit_data import DATA, IMAGES, digits_model
from benchmarks.real.networks import Identity
from benchmarks.record import Data, as_data, commit, shown, table, write_page
from diffusion_geodesics import image_distances, load_model
from diffusion_geodesics.measures import Interval, bootstrap_mean
from training.portraits import render

DIGITS, SOLVED, ASKED, LISTED = 250, 40, 400, 50
"""Digits compared with each other; of which also by networks; held against all others, of which
so many, nearest by pixels, are listed for each."""
PERSONS, OTHERS, FEW = 32, 8, 12
"""Rendered persons; others that each is held against; persons also joined by geodesics."""
Rows = dict[str, dict[str, Interval]]
"""By name of the row and of the metric."""


def classes(values: Tensor, labels: Tensor) -> tuple[Interval, Interval]:
    """How often a pair of one class is nearer than one of two, and leave-one-out 1-NN; intervals
    over images."""
    same, own = labels[:, None] == labels, torch.eye(len(labels), dtype=torch.bool)
    others = values[~same].sort().values
    beyond = 1 - torch.searchsorted(others, values, right=True) / len(others)
    pairs = same & ~own
    each = (beyond * pairs).sum(1) / pairs.sum(1)
    right = labels[values.masked_fill(own, torch.inf).argmin(1)] == labels
    return bootstrap_mean(each.tolist()), bootstrap_mean(right.double().tolist())


def digits() -> tuple[Rows, Data]:
    """MNIST digits against each other."""
    images, labels = digit_images()
    move, some, latents = moving(0.1), images[:DIGITS], _latents(images[:DIGITS])
    rows = _rows(f"{DIGITS} digits", labels[:DIGITS], {
        "Euclid": square(some, euclid),
        "latent": torch.cdist(latents, latents),
        "metamorphosis": square(some, move),
        "ST-LPIPS": square(some, learned(64)),
    })  # fmt: skip
    return rows, {"ms_a_pair": {"digits, 28 pixels": speed(images, move)}}


def solved() -> tuple[Rows, Data]:
    """Some of these digits under every metric, by the public function, and ST-LPIPS."""
    images, labels = (x[:SOLVED] for x in digit_images())
    settings: Data = {"metric": "all", "motion_weight": 0.1, "batch": 256, "size": 28}
    found = image_distances(digits_model(), list(images.expand(-1, 3, -1, -1)), **settings)
    values = {name.value: matrix.values.float() for name, matrix in found.matrices.items()}
    values["Euclid"] = values.pop("euclidean")
    values["ST-LPIPS"] = square(images, learned(64))
    return _rows(f"{SOLVED} of these digits", labels, values), {}


def references() -> tuple[Rows, Data]:
    """Digits against all others of the file, of which those nearest by pixels are listed."""
    images, labels = digit_images()
    asked, known, latents = images[:ASKED], images[ASKED:], _latents(images)
    far = torch.cdist(asked.flatten(1), known.flatten(1))
    listed = far.topk(LISTED, largest=False).indices
    found = moving(0.1)(asked.repeat_interleave(LISTED, 0), known[listed.flatten()])
    best = found.reshape(-1, LISTED).argmin(1, keepdim=True)
    nearest = {
        "Euclid": far.argmin(1),
        "latent": torch.cdist(latents[:ASKED], latents[ASKED:]).argmin(1),
        "metamorphosis": listed.gather(1, best)[:, 0],
    }
    wrong = {m: labels[ASKED:][at] != labels[:ASKED] for m, at in nearest.items()}
    row = {m: bootstrap_mean(x.double().tolist()) for m, x in wrong.items()}
    return {f"1-NN error, {ASKED} digits against {len(known)}": row}, {}


def _latents(digits: Tensor) -> Tensor:
    codec = digits_model().codec(28, 28)
    return torch.cat([codec.encode(p.expand(-1, 3, -1, -1)) for p in digits.split(500)])


def _rows(name: str, labels: Tensor, values: Mapping[str, Tensor]) -> Rows:
    both = {metric: classes(square, labels) for metric, square in values.items()}
    kinds = ("same class nearer", "leave-one-out 1-NN")
    return {f"{name}, {kind}": {m: x[k] for m, x in both.items()} for k, kind in enumerate(kinds)}


def speed(images: Tensor, between: Between, count: int = 400) -> float:
    """Milliseconds of processor time a pair on one core."""
    begun = time.process_time()
    between(images[:count], images[count : 2 * count])
    return 1e3 * (time.process_time() - begun) / count


def portraits() -> tuple[Rows, Data]:
    """A person changed, against others in the pose, mood and light of the anchor."""
    move, codec = moving(0.01), load_model("embedded").codec(128, 128)

    def latent(a: Tensor, b: Tensor) -> Tensor:
        a, b = (torch.cat([codec.encode(p) for p in x.split(64)]) for x in (a, b))
        return (a - b).norm(dim=1)

    def small(a: Tensor, b: Tensor) -> Tensor:
        return move(avg_pool2d(a, 4), avg_pool2d(b, 4))

    metrics = {"Euclid": euclid, "latent": latent, "metamorphosis": small, "ST-LPIPS": learned(64)}
    images = avg_pool2d(render(persons(PERSONS)), 4).repeat(16, 1, 1, 1)
    told = {"ms_a_pair": {"portraits, 32 pixels": speed(images, move, 256)}}
    return _persons("portraits", PERSONS, metrics), told


def density() -> tuple[Rows, Data]:
    """Some of these persons, by geodesics of the density."""
    return _persons(f"{FEW} of these persons", FEW, {"Euclid": euclid, "density": geodesics}), {}


def _persons(kind: str, count: int, metrics: Mapping[str, Between]) -> Rows:
    """How often a person changed is nearer than another: means over persons."""
    people, rows = persons(PERSONS).select(slice(count)), Rows()
    against = min(OTHERS, count - 1)
    i = torch.arange(count).repeat_interleave(against)
    j = (i + torch.arange(1, against + 1).repeat(count)) % count
    images, variants = render(people), changes(people)
    disguised = render(in_colours_of(people.select(j), people.select(i)))
    first = [images[i]] * 2 + [images] * len(variants)
    second = [images[j], disguised, *variants.values()]
    for metric, between in metrics.items():
        found = between(torch.cat(first), torch.cat(second)).split([len(x) for x in first])
        others = [values.reshape(count, -1) for values in found[:2]]
        for which, far in zip(("others", "others in the same colours"), others, strict=True):
            for name, near in zip(variants, found[2:], strict=True):
                each = (near[:, None] < far).double().mean(1)
                row = rows.setdefault(f"{kind}, {name}, against {which}", {})
                row[metric] = bootstrap_mean(each.tolist())
    return rows


def film() -> tuple[Rows, Data]:
    """A man who talks and turns his head, against other faces; and how far the order of distances
    between the others is that of a network that judges identity."""
    man, others = faces()
    images, count = torch.cat([man, others]), len(man)
    same, order = dict[str, Interval](), dict[str, Interval]()
    own, apart = torch.eye(count, dtype=torch.bool), ~torch.eye(len(others), dtype=torch.bool)
    person = Identity(IDENTITY)(others.expand(-1, 3, -1, -1))
    judged = torch.cdist(person, person)
    metrics = {"Euclid": euclid, "metamorphosis": moving(0.01), "ST-LPIPS": learned(64)}
    for metric, between in metrics.items():
        values = square(images, between)
        near, far = values[:count, :count], values[:count, count:]
        beyond = (near[:, :, None] < far[:, None]).double().mean(2)
        same[metric] = bootstrap_mean(
            [float(x[~o].mean()) for x, o in zip(beyond, own, strict=True)]
        )
        rows = zip(values[count:, count:], judged, strict=True)
        order[metric] = bootstrap_mean(
            [_rank_correlation(a[o], b[o]) for (a, b), o in zip(rows, apart, strict=True)]
        )
    return {
        f"{count} frames of a man who talks, against {len(others)} other faces": same,
        f"{len(others)} other faces, rank correlation with an identity network": order,
    }, {}


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's."""
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


IDENTITY = DATA / "weights" / "faceapi_face_recognition_model-weights_manifest.json"
LEARNED = DATA / "weights" / "stlpips_alex.safetensors"
NETWORKS = [DATA / "weights" / f"mnist_{name}.safetensors" for name in ("latent_flow", "vae_6x6")]
PARTS: Mapping[str, tuple[Callable[[], tuple[Rows, Data]], tuple[Path, ...]]] = {
    "digits": (digits, (IMAGES, *NETWORKS, LEARNED)),
    "solved": (solved, (IMAGES, *NETWORKS, LEARNED)),
    "references": (references, (IMAGES, *NETWORKS)),
    "portraits": (portraits, (LEARNED,)),
    "density": (density, ()),
    "film": (film, (FILM, WEIGHTS, LEARNED, IDENTITY)),
}
"""What is measured, and the files that it needs."""


def page(done: Data) -> str:
    """All rows as a table."""
    done = {name: done[name] for name in PARTS if name in done}
    rows = {name: row for part in done.values() for name, row in part["rows"].items()}
    metrics = list(dict.fromkeys(m for row in rows.values() for m in row))
    cells = [
        [name, *(shown(Interval(**row[m])) if m in row else "–" for m in metrics)]
        for name, row in rows.items()
    ]
    speeds = {k: v for part in done.values() for k, v in part.get("ms_a_pair", {}).items()}
    told = "; ".join(f"{name}: {ms:.1f} ms" for name, ms in speeds.items())
    seconds = sum(part["seconds"] for part in done.values())
    made = sorted({part["commit"] for part in done.values()})
    return (
        f"Made by `python -m benchmarks.distances` at commit {', '.join(made)}, {seconds:.0f} s of "
        f"one core. Means and 95% intervals over images. A metamorphosis distance of a pair on one "
        f"core: {told}.\n\n" + table(("", *metrics), cells)
    )


def main(
    *,
    only: Annotated[tuple[str, ...], cyclopts.Parameter(consume_multiple=True)] = tuple(PARTS),
    write: Path | None = None,
    mean: Path | None = None,
) -> None:
    """Measure what distances say.

    Args:
        only: of digits, solved, references, portraits, density, film.
        write: folder for distances.md and distances.json; parts of an earlier run are kept there.
        mean: write a picture of means to this file and do nothing else.
    """
    torch.set_num_threads(1)
    if mean is not None:
        means(mean)
        return
    file = None if write is None else write / "distances.json"
    done: Data = json.loads(file.read_text("utf-8")) if file and file.is_file() else {}
    for name in only:
        measure, needed = PARTS[name]
        if missing := [str(path) for path in needed if not path.is_file()]:
            print(f"{name}: skipped, missing: {', '.join(missing)}")
            continue
        begun = time.process_time()
        rows, more = measure()
        kept = {row: {m: as_data(x) for m, x in found.items()} for row, found in rows.items()}
        spent = round(time.process_time() - begun)
        done[name] = {"rows": kept, **more, "seconds": spent, "commit": commit()}
        write_page(write, "distances", "Distances, measured", page(done), done)


if __name__ == "__main__":
    cyclopts.run(main)
