"""Inner features of a network, recorded from its blocks while it runs.

At a time step of moderate noise, points of two images that show the same thing have close features:
those of the first up blocks of a U-Net (DIFT), or of the middle blocks of a transformer. A few
channels of a transformer's tokens are far larger than the rest and carry little information about
the position, so channels should be standardised before features are compared.

References:
    Tang et al., Emergent correspondence from image diffusion, NeurIPS 2023, arXiv 2306.03881.
    Gan et al., arXiv 2505.18584 (the large channels of transformers).
"""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@contextmanager
def recorded_outputs(blocks: Iterable[torch.nn.Module]) -> Iterator[list[Tensor]]:
    """Within, a list that receives a copy of each block's output, in the order in which they run.

    Of several outputs the last is taken: the image's tokens, where a block also returns the text's.
    Hooks that blocks already have (offloading, LoRAs) stay, and all blocks run. Compiled networks
    run uncompiled within: code compiled before would not call new hooks. Hold the network's lock
    (`exclusive`) meanwhile: the hooks record every call, whichever thread makes it.
    """
    outputs: list[Tensor] = []

    def record(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        image = output[-1] if isinstance(output, tuple) else output
        outputs.append(image.clone())  # FreeU overwrites it

    handles = []
    try:
        for block in blocks:
            handles.append(block.register_forward_hook(record))
        with uncompiled():
            yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def uncompiled() -> Iterator[None]:
    """Within, compiled networks run uncompiled, so that hooks and attention can be changed; one
    thread at a time, since torch has one such setting for the process."""
    if "torch._dynamo" not in sys.modules:  # slow to import; without it nothing is compiled
        yield
        return
    with _stance, torch.compiler.set_stance("force_eager"):
        yield


_stance = threading.RLock()


def middle_block(*stacks: Iterable[torch.nn.Module]) -> list[torch.nn.Module]:
    """The one block at index n // 2 of all n blocks, stack after stack."""
    blocks = [block for stack in stacks for block in stack]
    return [blocks[len(blocks) // 2]]


def tokens_to_grid(
    tokens: Float[Tensor, "rows tokens channels"], height: int, width: int
) -> Float[Tensor, "rows channels height width"]:
    """The last height * width tokens, line after line, as a picture of their features; tokens
    before them are the text's, where a block has both in one sequence."""
    return tokens[:, -height * width :].mT.unflatten(2, (height, width))
