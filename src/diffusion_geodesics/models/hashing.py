"""Fingerprints of model weights."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch


def hash_files(files: Sequence[Path]) -> str:
    """SHA-256 over the files' own SHA-256 sums, in order; hexadecimal.

    Every file is read once a process, unless it changes. A file in a Hugging Face cache is stored
    under its sum and is not read.
    """
    total = hashlib.sha256()
    for file in files:
        stored = file.resolve()
        if re.fullmatch(r"[0-9a-f]{64}", stored.name):
            total.update(bytes.fromhex(stored.name))
        else:
            stat = stored.stat()
            total.update(bytes.fromhex(_file_sum(stored, stat.st_size, stat.st_mtime_ns)))
    return total.hexdigest()


def hash_tensors(modules: Iterable[torch.nn.Module]) -> str:
    """SHA-256 over all names, dtypes, shapes and values of the modules' states; hexadecimal.

    Weights that accelerate keeps elsewhere (CPU offload) are brought to the CPU for it.
    """
    total = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(_state(module).items()):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            data = tensor.detach().cpu().contiguous().flatten()
            total.update(data.view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    if not any(parameter.is_meta for parameter in module.parameters()):
        return module.state_dict()
    from accelerate.utils.modeling import get_state_dict_offloaded_model

    return get_state_dict_offloaded_model(module)


@lru_cache(maxsize=256)
def _file_sum(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
