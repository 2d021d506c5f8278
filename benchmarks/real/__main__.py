"""A real film and a model of real faces: frames between against the true ones, and whether clips are
near geodesics.

    python -m benchmarks.real --data FOLDER

FOLDER holds the film and the weights of `NEEDED`. Windows are kept as they are measured, so that a
run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cyclopts
import torch

from benchmarks.evidence.work import fingerprint
from benchmarks.real.betweens import EACH, LENGTHS, METHODS, SETTINGS, Judge, measure_window, studies
from benchmarks.real.film import FILM, Images, head_film, windows
from benchmarks.real.networks import Identity, Landmarks
from benchmarks.record import RESULTS, add_row, commit, read_rows, write_json
from diffusion_geodesics.images import save_png
from diffusion_geodesics.measures.shift_tolerant import shift_tolerant_lpips
from examples.faces import face_model

LANDMARKS = "weights/mediapipe_face_landmark.tflite"
IDENTITY = "weights/faceapi_face_recognition_model-weights_manifest.json"
NEEDED = (
    FILM, LANDMARKS, IDENTITY, "weights/faceapi_face_recognition_model.bin",
    "weights/stlpips_alex.safetensors", "weights/lpm_celeba_low40.safetensors",
)  # fmt: skip
CODE = ("src/diffusion_geodesics", "benchmarks/evidence", "benchmarks/real")


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
    landmarks = Landmarks(data / LANDMARKS)
    judge = Judge(landmarks, Identity(data / IDENTITY), shift_tolerant_lpips(data / "weights"))
    film, model = head_film(data, landmarks), face_model(data)
    kept.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr((METHODS, SETTINGS)).encode()).hexdigest()[:8]
    file = kept / f"betweens-{digest}.jsonl"
    done = {row["window"] for row in read_rows(file)}
    for window in windows(len(film), LENGTHS, EACH):
        if window.name not in done:
            row, frames = measure_window(model, film, window, judge)
            save_png(strip(frames), kept / f"{window.name}.png")
            add_row(file, row)
            print(window.name, flush=True)


def strip(frames: dict[str, Images]) -> Images:
    """A row a method, enlarged four times."""
    rows = torch.cat([torch.cat(list(found), 2) for found in frames.values()], 1)
    return rows.repeat_interleave(4, 1).repeat_interleave(4, 2)


if __name__ == "__main__":
    cyclopts.run(main)
