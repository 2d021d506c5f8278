"""Inner features of a network, read off its blocks while it runs.

Points of two images that show the same thing have close features, at a time step of some noise:
the first up blocks of a U-Net (DIFT: Tang et al., NeurIPS 2023, arXiv 2306.03881), the middle
blocks of a transformer. A transformer's tokens are given as they are; a few of their channels are
far larger than the rest and say little about the place (Gan et al., arXiv 2505.18584), so that
channels should be standardised before features are compared.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["middle", "on_grid", "tapped", "uncompiled"]


@contextmanager
def tapped(blocks: Iterable[torch.nn.Module]) -> Iterator[list[Tensor]]:
    """Within, a list that gets a copy of each block's output, in the order in which they run.

    Of several outputs the last is taken: the image's tokens, where a block also gives the text's.
    Blocks keep the hooks that they have (offloading, LoRAs), and all blocks run, since offloading
    hooks must see the end of a call. Compiled networks run uncompiled in here: what was compiled
    before would not call new hooks. A block that does not run, in a pipeline whose `forward` was
    replaced, gives nothing.
    """
    outputs: list[Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        image = output[-1] if isinstance(output, tuple) else output
        outputs.append(image.clone())  # FreeU overwrites it

    handles = []
    try:
        for block in blocks:
            handles.append(block.register_forward_hook(keep))
        with uncompiled():
            yield outputs
    finally:
        for handle in handles:
            handle.remove()


def uncompiled() -> AbstractContextManager[None]:
    """Within, compiled networks run uncompiled, so that hooks and attention can be changed."""
    if "torch._dynamo" not in sys.modules:  # slow to import; without it nothing is compiled
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


def middle(*stacks: Iterable[torch.nn.Module]) -> list[torch.nn.Module]:
    """The one block at index n // 2 of all n blocks, stack after stack."""
    blocks = [block for stack in stacks for block in stack]
    return [blocks[len(blocks) // 2]]


def on_grid(
    tokens: Float[Tensor, "rows tokens channels"], height: int, width: int
) -> Float[Tensor, "rows channels height width"]:
    """The last height * width tokens, line after line, as a picture of their features.

    Tokens before them are the text's, where a block has both in one row.
    """
    return tokens[:, -height * width :].mT.unflatten(2, (height, width))
