"""Real films: frames between against the true ones, and whether clips are near geodesics.

    python -m benchmarks.real --data FOLDER

FOLDER holds the film and the weights of `NEEDED`. Windows are kept as they are measured, so that a
run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import cyclopts
import torch

from benchmarks import rife
from benchmarks.real import betweens, clips, films, rendered
from benchmarks.real.betweens import Judge, measure_window, strip
from benchmarks.real.film import FILM, Images, head_film, windows
from benchmarks.real.networks import Identity, Landmarks
from benchmarks.real.page import PAGE, page
from benchmarks.record import RESULTS, Data, add_row, commit, fingerprint, read_rows, write_json
from diffusion_geodesics import load_model
from diffusion_geodesics.images import save_png
from diffusion_geodesics.measures import PerceptualDistance
from diffusion_geodesics.measures.shift_tolerant import shift_tolerant_lpips
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Run
from examples.faces import face_model
from training.clips import Motion

LANDMARKS = "weights/mediapipe_face_landmark.tflite"
IDENTITY = "weights/faceapi_face_recognition_model-weights_manifest.json"
NEEDED = (
    FILM, LANDMARKS, IDENTITY, "weights/faceapi_face_recognition_model.bin",
    "weights/stlpips_alex.safetensors", "weights/lpm_celeba_low40.safetensors",
    *films.NEEDED,
)  # fmt: skip
CODE = (
    "src/diffusion_geodesics", "benchmarks/real", "benchmarks/evidence", "examples", "training",
)  # fmt: skip
"""What results depend on."""
MEASURED = ("src", "examples/faces.py", "training")


def between(model: DiffusionModel, film: Images, judge: Judge, kept: Path) -> list[Data]:
    """A row a window; what is in ``kept`` is not measured again."""
    digest = _digest(betweens.METHODS, betweens.SETTINGS, rife.installed())
    file = kept / f"betweens-{digest}.jsonl"
    done = {row["window"] for row in read_rows(file)}
    wanted = windows(len(film), betweens.LENGTHS, betweens.EACH)
    for window in wanted:
        if window.name not in done:
            started = time.process_time()
            row, frames = measure_window(model, film, window, judge)
            save_png(kept / f"{window.name}.png", strip(frames))
            add_row(file, row | {"seconds": time.process_time() - started})
            print(window.name, flush=True)
    return [row for row in read_rows(file) if row["window"] in {w.name for w in wanted}]


def near(model: DiffusionModel, film: Images, kept: Path) -> Data:
    """The windows of the film against geodesics."""
    file = kept / f"clips-{_digest(clips.SPAN, clips.SETTINGS)}.json"
    if not file.is_file():
        started, run = time.process_time(), Run()
        points = clips.points_of(run, model, film)
        rows = clips.measure_clips(run, points)
        cost = {"nfe": run.meter.read().nfe, "seconds": time.process_time() - started}
        write_json(file, {**points.about(), "rows": rows, **cost})
    return json.loads(file.read_text(encoding="utf-8"))


def measure_rendered(kept: Path) -> list[Data]:
    """A row an actor and motion of rendered clips."""
    file = kept / f"rendered-{_digest(rendered.FRAMES, rendered.SETTINGS)}.jsonl"
    done = {(row["actor"], row["motion"]) for row in read_rows(file)}
    model = load_model("embedded")
    for actor in range(rendered.ACTORS):
        for motion in Motion:
            if (actor, motion.value) not in done:
                add_row(file, rendered.measure_motion(model, actor, motion))
                print(actor, motion.value, flush=True)
    return [row for row in read_rows(file) if row["actor"] < rendered.ACTORS]


def measure_five(data: Path, perceptual: PerceptualDistance, kept: Path) -> list[Data]:
    """A row a window of the five films."""
    digest = _digest(films.SIZE, films.MOST, films.GRIDS, rife.installed())
    file = kept / f"films-{digest}.jsonl"
    done = {row["window"] for row in read_rows(file)}
    codec = films.Codec(data)
    for name in films.FILMS:
        film = films.read_film(data / "clips" / f"{name}.mp4")
        for window in films.film_windows(len(film)):
            own = f"{name}-{window.name}"
            if own not in done:
                started = time.process_time()
                scores, frames = films.measure_film(codec, film, window, perceptual)
                save_png(kept / f"{own}.png", strip(frames))
                seconds = time.process_time() - started
                add_row(file, {"window": own, "film": name, "scores": scores, "seconds": seconds})
                print(own, flush=True)
    return read_rows(file)


def main(*, data: Path = Path("shared/data"), kept: Path = Path("runs/real")) -> None:
    """Measure what is not measured yet, and write results and page.

    Args:
        data: folder of film and weights.
        kept: folder of what is measured window by window, and of strips.
    """
    if missing := [name for name in NEEDED if not (data / name).is_file()]:
        print(f"missing in {data}: {', '.join(missing)}; give their folder as --data")
        return
    torch.set_num_threads(1)
    kept.mkdir(parents=True, exist_ok=True)
    landmarks = Landmarks(data / LANDMARKS)
    judge = Judge(landmarks, Identity(data / IDENTITY), shift_tolerant_lpips(data / "weights"))
    film, model = head_film(data, landmarks), face_model(data)
    rows, five = between(model, film, judge, kept), measure_five(data, judge.perceptual, kept)
    near_geodesics, heads = near(model, film, kept), measure_rendered(kept)
    timed = (*rows, *five, near_geodesics, *heads)
    found = {
        "commit": commit(*MEASURED),
        "model": model.info.as_dict(),
        "settings": {
            "betweens": betweens.SETTINGS.as_nested(),
            "clips": clips.SETTINGS.as_nested(),
            "rendered": rendered.SETTINGS.as_nested(),
        },
        "seconds": round(sum(row["seconds"] for row in timed)),
        "studies": betweens.studies(rows),
        "windows": rows,
        "clips": near_geodesics,
        "rendered": heads,
        "films": betweens.study("five films", five, films.QUANTITIES),
        "film windows": five,
    }
    write_json(RESULTS / "real.json", found)
    PAGE.write_text(page(found), encoding="utf-8")
    print(f"written: {PAGE}")


def _digest(*parts: object) -> str:
    """Of settings, and of all code that results depend on."""
    told = (*parts, fingerprint(CODE))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:8]


if __name__ == "__main__":
    cyclopts.run(main)
