"""Two small face networks that others trained, run with torch from the files they come in.

- **Landmarks** (mediapipe, Apache-2): 468 points of a face crop, from a file in the format of
  TensorFlow Lite, of which the seven operations that it uses are read here.
- **Identity** (dlib's residual network, as face-api stores it, MIT): 128 numbers, near to each
  other for one person.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d, pad, prelu, relu

ADD, CONV, DEPTHWISE, DEQUANTIZE, POOL, PAD, PRELU = 0, 3, 4, 6, 17, 34, 54
"""Operations, by their numbers in the format."""
TYPES = {0: np.float32, 1: np.float16, 2: np.int32}
CROP, PORTRAIT = 192, 150
"""Pixels of the images that the two networks take."""
Images = Float[Tensor, "images 3 height width"]


@final
class _Flatbuffer:
    """Tables whose fields are found by number."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, at: int, form: str = "<I") -> int:
        return struct.unpack_from(form, self.data, at)[0]

    def follow(self, at: int) -> int:
        return at + self.number(at)

    def field(self, table: int, index: int) -> int | None:
        """Where a field of a table is; None where it has its default."""
        known = table - self.number(table, "<i")
        if 4 + 2 * index >= self.number(known, "<H"):
            return None
        offset = self.number(known + 4 + 2 * index, "<H")
        return table + offset if offset else None

    def value(self, table: int, index: int, form: str = "<B") -> int:
        at = self.field(table, index)
        return 0 if at is None else self.number(at, form)

    def vector(self, table: int, index: int) -> list[int]:
        """Where the entries of a vector are, of four bytes each."""
        at = self.field(table, index)
        start = None if at is None else self.follow(at)
        return [] if start is None else [start + 4 + 4 * k for k in range(self.number(start))]

    def tables(self, table: int, index: int) -> list[int]:
        return [self.follow(at) for at in self.vector(table, index)]

    def numbers(self, table: int, index: int) -> list[int]:
        return [self.number(at, "<i") for at in self.vector(table, index)]

    def array(self, tensor: int, buffer: int) -> Tensor | None:
        """The constant of a tensor; None where it is computed."""
        at = self.field(buffer, 0)
        if at is None:
            return None
        start, kind = self.follow(at), np.dtype(TYPES[self.value(tensor, 1)])
        held = np.frombuffer(self.data, kind, self.number(start) // kind.itemsize, start + 4)
        found = torch.from_numpy(held.reshape(self.numbers(tensor, 0)).copy())
        return found.float() if found.is_floating_point() else found


@final
class Landmarks:
    """The 468 points of a face. Costs about 10 ms an image."""

    def __init__(self, path: Path) -> None:
        file = _Flatbuffer(path.read_bytes())
        root = file.number(0)
        codes = [max(file.value(t, 0), file.value(t, 3, "<i")) for t in file.tables(root, 1)]
        graph, buffers = file.tables(root, 2)[0], file.tables(root, 4)
        self.constants: dict[int, Tensor] = {}
        for number, tensor in enumerate(file.tables(graph, 0)):
            held = file.array(tensor, buffers[file.value(tensor, 2, "<I")])
            if held is not None:
                self.constants[number] = held
        self.steps: list[tuple[int, list[int], int, int, bool]] = []
        for step in file.tables(graph, 3):
            options, code = file.field(step, 4), codes[file.value(step, 0, "<I")]
            table = None if options is None else file.follow(options)
            stride = 1 if table is None else file.value(table, 1)
            same = table is None or not file.value(table, 0)
            source, target = file.numbers(step, 1), file.numbers(step, 2)[0]
            if code == DEQUANTIZE:
                self.constants[target] = self.constants[source[0]]
            else:
                self.steps.append((code, source, target, stride, same))
        self.inputs, self.outputs = file.numbers(graph, 1), file.numbers(graph, 2)

    @torch.no_grad()
    def __call__(
        self, images: Images
    ) -> tuple[Float[Tensor, "images 468 2"], Float[Tensor, " images"]]:
        """Points as fractions of the edges (x, y), and the logit that it is a face."""
        known = {self.inputs[0]: _resized(images, CROP)}
        for code, source, target, stride, same in self.steps:
            inputs = [known[k] if k in known else self.constants[k] for k in source]
            known[target] = _apply(code, inputs, stride, same)
        points, face = (known[k].flatten(1) for k in self.outputs)
        return points.reshape(len(images), -1, 3)[..., :2] / CROP, face[:, 0]


def _apply(code: int, inputs: list[Tensor], stride: int, same: bool) -> Tensor:
    x, *weights = inputs
    if code == ADD:
        return x + weights[0]
    if code == PRELU:
        return prelu(x, weights[0].flatten())
    if code == PAD:  # of channels, which come last there
        return pad(x, [0, 0, 0, 0, *weights[0][3].tolist()])
    if code == POOL:
        return max_pool2d(x, 2)
    if code not in (CONV, DEPTHWISE):
        raise ValueError(f"operation {code} is not known; expected mediapipe_face_landmark.tflite")
    kernel = weights[0].permute((3, 0, 1, 2) if code == DEPTHWISE else (0, 3, 1, 2))
    edge, size = x.shape[-1], kernel.shape[-1]
    extra = max((-(-edge // stride) - 1) * stride + size - edge, 0) if same else 0
    x = pad(x, [extra // 2, extra - extra // 2] * 2)
    groups = x.shape[1] if code == DEPTHWISE else 1
    return conv2d(x, kernel, weights[1], stride=stride, groups=groups)


@final
class Identity:
    """Who somebody is, in 128 numbers: one person is nearer than 0.6. Costs about 30 ms."""

    def __init__(self, manifest: Path) -> None:
        told = json.loads(manifest.read_text(encoding="utf-8"))[0]["weights"]
        data = manifest.with_name("faceapi_face_recognition_model.bin").read_bytes()
        self.weights: dict[str, Tensor] = {}
        place = 0
        for entry in told:
            how, count = entry.get("quantization"), int(np.prod(entry["shape"]))
            kind = np.dtype(how["dtype"] if how else entry["dtype"])
            held = np.frombuffer(data, kind, count, place).astype(np.float32)
            place += count * kind.itemsize
            held = held * how["scale"] + how["min"] if how else held
            self.weights[entry["name"]] = torch.from_numpy(held.reshape(entry["shape"])).float()
        names = dict.fromkeys(name.split("/")[0] for name in self.weights)
        self.blocks = [name for name in names if name not in ("conv32_down", "fc")]

    @torch.no_grad()
    def __call__(self, images: Images) -> Float[Tensor, "images 128"]:
        mean = torch.tensor([122.782, 117.001, 104.298])[:, None, None]
        x = (255 * _resized(images, PORTRAIT) - mean) / 256
        x = max_pool2d(relu(self._layer(x, "conv32_down", 2)), 3, 2)
        for block in self.blocks:
            x = self._residual(x, block, 2 if "_down" in block else 1)
        return x.mean((2, 3)) @ self.weights["fc"]

    def _layer(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = self.weights[f"{name}/conv/filters"].permute(3, 2, 0, 1)
        border = 0 if stride == 2 else kernel.shape[-1] // 2
        x = conv2d(x, kernel, self.weights[f"{name}/conv/bias"], stride, border)
        scale, shift = (self.weights[f"{name}/scale/{k}"] for k in ("weights", "biases"))
        return x * scale[:, None, None] + shift[:, None, None]

    def _residual(self, x: Tensor, name: str, stride: int) -> Tensor:
        y = self._layer(relu(self._layer(x, f"{name}/conv1", stride)), f"{name}/conv2")
        x = x if stride == 1 else avg_pool2d(x, 2, 2)
        rows, columns = x.shape[2] - y.shape[2], x.shape[3] - y.shape[3]
        y, x = pad(y, [0, columns, 0, rows]), pad(x, [0, 0, 0, 0, 0, y.shape[1] - x.shape[1]])
        return relu(x + y)


def _resized(images: Images, edge: int) -> Images:
    return interpolate(images.float(), (edge, edge), mode="bilinear", antialias=True)
