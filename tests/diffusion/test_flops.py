"""Operations and memory of networks whose numbers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from diffusion_geodesics.diffusion import (
    Codec,
    MeteredCodec,
    codec_flops,
    count_flops,
    evaluation_flops,
    network_bytes,
)
from diffusion_geodesics.runtime.cost import Counts, Meter
from tests.diffusion.networks import NOTHING, FunctionNetwork


@final
@dataclass(frozen=True)
class Linear(Codec):
    """Images of 2 x 3 pixels and latents of 4 coordinates, by two matrices."""

    up: Tensor
    down: Tensor

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, 2, 3)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return (1, 2, 2)

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.up

    def decode(self, latents: Tensor) -> Tensor:
        return (latents @ self.down).unflatten(1, (3, 2, 3))


def linear() -> Linear:
    return Linear(torch.ones(18, 4), torch.ones(4, 18))


def test_a_product_of_matrices_counts_two_operations_a_multiplication() -> None:
    a, b = torch.ones(2, 3), torch.ones(3, 5)
    assert count_flops(lambda: a @ b) == 2 * 2 * 3 * 5


def test_attention_counts_as_its_two_products_of_matrices() -> None:
    q = torch.ones(1, 1, 6, 4)
    assert count_flops(lambda: scaled_dot_product_attention(q, q, q)) == 2 * (2 * 6 * 6 * 4)


def test_an_evaluation_is_that_of_one_row_and_is_counted() -> None:
    weight, meter = torch.ones(4, 4), Meter()
    network = FunctionNetwork(lambda x: x @ weight @ weight)
    denoiser = network.denoiser().metered(meter)
    assert evaluation_flops(denoiser, NOTHING.expand(3)) == 2 * (2 * 4 * 4)
    assert network.seen == [1]
    assert meter.read() == Counts(nfe=1, batches=1)


def test_a_codec_counts_each_way_for_one_image() -> None:
    assert codec_flops(linear()) == (2 * 18 * 4, 2 * 4 * 18)


def test_images_through_a_codec_are_counted_on_its_meter() -> None:
    meter, images = Meter(), torch.rand(5, 3, 2, 3)
    codec = MeteredCodec(linear(), meter)
    latents = codec.encode(images)
    assert torch.equal(latents, linear().encode(images))
    assert torch.equal(codec.decode(latents[:2]), linear().decode(latents[:2]))
    assert meter.read() == Counts(encoded=5, decoded=2)
    assert (codec.image_shape, codec.latent_shape) == ((3, 2, 3), (1, 2, 2))


def test_weights_that_two_parts_share_take_memory_once() -> None:
    @dataclass(frozen=True)
    class Part:
        network: nn.Module
        name: str

    layer, other = nn.Linear(3, 5), nn.Linear(2, 2).double()
    bytes_of = 4 * (3 * 5 + 5), 8 * (2 * 2 + 2)
    assert network_bytes(Part(layer, "a"), Part(other, "b")) == sum(bytes_of)
    assert network_bytes(Part(layer, "a"), Part(layer, "c")) == bytes_of[0]
