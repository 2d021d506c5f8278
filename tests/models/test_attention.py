"""Attention between two images: the formulas of AID, exact ends, and that nothing stays behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import pytest
import torch
from diffusers.models.attention_processor import (
    AttnProcessor,
    AttnProcessor2_0,
    SlicedAttnProcessor,
)
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser, memory
from diffusion_geodesics.models import (
    DiffusionModel,
    EmbeddedModel,
    StableDiffusionModel,
    from_score,
    load_model,
)
from diffusion_geodesics.models.attention import interpolated_attention, plain_attention_layers
from diffusion_geodesics.models.folders import EMBEDDED
from diffusion_geodesics.models.pipeline_network import UNetNetwork
from tests.tiny_pipelines import tiny_pipeline

EITHER = pytest.mark.parametrize("inner", [False, True])


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = tiny_pipeline(tmp_path_factory.mktemp("tokenizer"))
    made.unet.to(torch.float64)
    return made


@pytest.fixture(scope="module")
def model(pipe: Any) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(pipe)


@final
@dataclass(frozen=True)
class Batch:
    """Rows from one image and prompt to another, and the network for them."""

    denoiser: Denoiser
    x: Tensor
    condition: Condition
    t: Tensor

    def output(self, rows: list[int] | None = None) -> Tensor:
        index = torch.tensor(list(range(len(self.x))) if rows is None else rows)
        timestep = self.denoiser.schedule.timestep(10, 0.5)
        return self.denoiser.output(self.x[index], timestep, self.condition.take(index))

    def between(self, inner: bool) -> Tensor:
        with interpolated_attention(self.denoiser.network, self.t, inner=inner):
            return self.output()


@pytest.fixture(scope="module")
def batch(model: StableDiffusionModel) -> Batch:
    denoiser = model.denoiser(32, 32)
    t = torch.tensor([0.0, 0.0, 0.3, 0.7, 1.0, 1.0], dtype=torch.float64)
    ends = torch.randn(2, denoiser.network.dim, generator=torch.Generator().manual_seed(1)).double()
    first, last = (model.encode_prompt(text).parts[0].double() for text in ("ab", "cd"))
    return Batch(
        denoiser,
        torch.lerp(ends[:1], ends[1:], t[:, None]),
        Condition((torch.lerp(first, last, t[:, None, None]),)),
        t,
    )


def unet_of(batch: Batch) -> Any:
    assert isinstance(batch.denoiser.network, UNetNetwork)
    return batch.denoiser.network.module


def written_out(attn: Any, x: Tensor, text: Tensor | None, t: Tensor, inner: bool) -> Tensor:
    """The paper's equations, head by head, for one layer."""
    shown = x if text is None else text
    q, k, v = attn.to_q(x), attn.to_k(shown), attn.to_v(shown)

    def attend(row: int, extra: tuple[Tensor, Tensor]) -> Tensor:
        keys, values = torch.cat([k[row], extra[0]]), torch.cat([v[row], extra[1]])
        width = keys.shape[1] // attn.heads
        heads = []
        for head in range(attn.heads):
            part = slice(head * width, (head + 1) * width)
            weight = (q[row][:, part] @ keys[:, part].T / width**0.5).softmax(dim=1)
            heads.append(weight @ values[:, part])
        return torch.cat(heads, dim=1)

    rows = []
    for row, u in enumerate(t):
        if inner:
            blend = (torch.lerp(k[0], k[-1], u), torch.lerp(v[0], v[-1], u))
            rows.append(attend(row, blend))
        else:
            rows.append((1 - u) * attend(row, (k[0], v[0])) + u * attend(row, (k[-1], v[-1])))
    return attn.to_out[0](torch.stack(rows))


@EITHER
@pytest.mark.parametrize("layer", ["attn1", "attn2"])
def test_a_layer_is_the_equation_of_the_paper(batch: Batch, layer: str, inner: bool) -> None:
    unet = unet_of(batch)
    (attn,) = (m for n, m in unet.named_modules() if n.startswith("down") and n.endswith(layer))
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(6, 5, attn.query_dim, generator=generator, dtype=torch.float64)
    text = torch.randn(6, 4, 16, generator=generator, dtype=torch.float64)
    states = None if layer == "attn1" else text
    with torch.no_grad():
        expected = written_out(attn, x, states, batch.t, inner)
        with interpolated_attention(batch.denoiser.network, batch.t, inner=inner):
            got = attn(x, encoder_hidden_states=states)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@EITHER
def test_the_ends_stay_to_the_bit_and_rows_on_them_are_theirs(batch: Batch, inner: bool) -> None:
    plain, between = batch.output(), batch.between(inner)
    assert torch.equal(between[[0, -1]], plain[[0, -1]])
    torch.testing.assert_close(between[[1, -2]], plain[[0, -1]], rtol=1e-9, atol=1e-11)
    assert float((between - plain)[2:4].abs().amax(dim=1).min()) > 1e-6, "the middle attends so"


def test_rows_turn_from_one_end_to_the_other(batch: Batch) -> None:
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    same = batch.x[2:3].expand(9, -1).clone()  # nine times one row, between two others
    same[0], same[-1] = batch.x[0], batch.x[-1]
    text = batch.condition.parts[0][2:3].expand(9, -1, -1)
    nine = replace(batch, x=same, condition=Condition((text,)), t=t)
    for inner in (False, True):
        out = nine.between(inner)[1:-1]
        to_first = (out - out[0]).norm(dim=1)
        to_last = (out - out[-1]).norm(dim=1)
        assert bool((to_first.diff() > 0).all())
        assert bool((to_last.diff() < 0).all())


@EITHER
def test_one_image_throughout_is_denoised_as_usual(batch: Batch, inner: bool) -> None:
    """Attention over keys that occur twice is attention over them once."""
    one = replace(
        batch,
        x=batch.x[:1].expand(6, -1),
        condition=batch.condition.take(torch.zeros(6, dtype=torch.long)),
    )
    torch.testing.assert_close(one.between(inner), one.output(), rtol=1e-9, atol=1e-11)


def test_inner_and_outer_differ_in_the_middle_alone(batch: Batch) -> None:
    outer, inner = batch.between(False), batch.between(True)
    assert torch.equal(outer[[0, -1]], inner[[0, -1]])
    assert float((outer - inner)[2:4].abs().amax(dim=1).min()) > 1e-9


def test_both_ends_alone_are_denoised_as_usual(batch: Batch) -> None:
    two = replace(
        batch,
        x=batch.x[[0, -1]],
        condition=batch.condition.take(torch.tensor([0, 5])),
        t=batch.t[[0, -1]],
    )
    assert torch.equal(two.between(False), two.output())


def test_the_processors_are_put_back(batch: Batch) -> None:
    network = batch.denoiser.network
    unet = unet_of(batch)
    before, plain = dict(unet.attn_processors), batch.output()
    batch.between(False)
    assert unet.attn_processors == before
    with interpolated_attention(network, batch.t):
        assert not set(before.values()) & set(unet.attn_processors.values())
    with (
        pytest.raises(ValueError, match="this network takes"),
        interpolated_attention(network, batch.t),
    ):
        replace(batch, x=batch.x[:, 1:]).output()
    assert unet.attn_processors == before
    assert torch.equal(batch.output(), plain)


def test_nothing_goes_inside_itself(batch: Batch) -> None:
    network = batch.denoiser.network
    unet = unet_of(batch)
    before = dict(unet.attn_processors)
    with (
        interpolated_attention(network, batch.t),
        pytest.raises(ValueError, match="expected AttnProcessor2_0 alone"),
        interpolated_attention(network, batch.t),
    ):
        pass
    assert unet.attn_processors == before


@pytest.mark.parametrize("foreign", [SlicedAttnProcessor(2), AttnProcessor()])
def test_other_processors_are_refused_and_left(batch: Batch, foreign: Any) -> None:
    unet = unet_of(batch)
    mixed = dict(unet.attn_processors)
    mixed[next(iter(mixed))] = foreign
    try:
        unet.set_attn_processor(dict(mixed))
        message = f"{type(foreign).__name__}.*unload IP.*set_attn_processor"
        with pytest.raises(ValueError, match=message):
            batch.between(False)
        assert unet.attn_processors == mixed
    finally:
        unet.set_attn_processor(AttnProcessor2_0())


def test_attention_that_normalises_is_refused(batch: Batch) -> None:
    unet = unet_of(batch)
    attn: Any = next(m for n, m in unet.named_modules() if n.endswith("attn1"))
    attn.group_norm = torch.nn.GroupNorm(4, 16)
    try:
        with pytest.raises(ValueError, match="normalises pictures or keys"):
            plain_attention_layers(batch.denoiser.network)
    finally:
        attn.group_norm = None


def test_a_unet_without_attention_is_refused(batch: Batch) -> None:
    network = batch.denoiser.network
    assert isinstance(network, UNetNetwork)
    bare: Any = torch.nn.Conv2d(4, 4, 1)
    with pytest.raises(ValueError, match="without any attention"):
        plain_attention_layers(replace(network, module=bare))


@pytest.mark.parametrize("t", [[], [0.5], [0.0, 1.5, 1.0], [0.0, float("nan"), 1.0]])
def test_parameters_are_checked(batch: Batch, t: list[float]) -> None:
    with (
        pytest.raises(ValueError, match=r"at least two, all in \[0, 1\]"),
        interpolated_attention(batch.denoiser.network, torch.tensor(t)),
    ):
        pass


def test_a_batch_cut_by_memory_is_refused(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(unet_of(batch).attn_processors)
    row = batch.denoiser.network.batches.bytes_per_row
    monkeypatch.setattr(memory, "free_bytes", lambda device: 5 * row)
    with pytest.raises(ValueError, match="got 3 of 6 rows.*fewer frames"):
        batch.between(False)
    assert unet_of(batch).attn_processors == before


def test_other_networks_are_refused_by_name() -> None:
    model = from_score(lambda x, sigma: -x, (3, 8, 8))
    with pytest.raises(ValueError, match="got a FunctionNetwork; only the U-Nets"):
        plain_attention_layers(model.denoiser(8, 8).network)
    with (
        pytest.raises(ValueError, match="got a FunctionNetwork; only the U-Nets"),
        interpolated_attention(model.denoiser(8, 8).network, torch.zeros(2)),
    ):
        pass


# The embedded model's own layers


@EITHER
def test_the_embedded_model_attends_as_diffusers_does(inner: bool) -> None:
    """The same folder, once in plain torch and once through diffusers."""

    models: list[DiffusionModel] = [
        load_model(name, device="cpu") for name in ("embedded", EMBEDDED)
    ]
    assert [type(model) for model in models] == [EmbeddedModel, StableDiffusionModel]
    t, outputs = torch.tensor([0.0, 0.4, 1.0]), []
    for model in models:
        denoiser = model.denoiser(64, 96)
        x = torch.randn(3, denoiser.network.dim, generator=torch.Generator().manual_seed(0))
        condition = model.encode_prompt("a portrait of a sad person").lerp(
            model.encode_prompt(""), t
        )
        plain = denoiser.output(x, 500.0, condition)
        with interpolated_attention(denoiser.network, t, inner=inner):
            outputs.append(denoiser.output(x, 500.0, condition))
        assert torch.equal(outputs[-1][[0, 2]], plain[[0, 2]])
        assert float((outputs[-1] - plain)[1].abs().max()) > 1e-3
        assert torch.equal(denoiser.output(x, 500.0, condition), plain), "put back"
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)


def test_nothing_goes_inside_itself_there_either() -> None:
    network = load_model("embedded", device="cpu").denoiser(64, 64).network
    t = torch.linspace(0, 1, 3)
    with (
        interpolated_attention(network, t),
        pytest.raises(ValueError, match="got attention processors _Between"),
        interpolated_attention(network, t),
    ):
        pass
