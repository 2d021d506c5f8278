"""Attention between two images: the formulas of AID, exact ends, and that nothing stays behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import pytest
import torch
from diffusers.models.attention_processor import (
    AttnProcessor,
    AttnProcessor2_0,
    SlicedAttnProcessor,
)
from torch import Tensor

from diffusion_geodesics.apps import Settings
from diffusion_geodesics.apps.evidence import (
    AttentionInterpolation,
    LevelPath,
    Pair,
    Rendered,
    Stage,
    compare,
    set_stage,
)
from diffusion_geodesics.cli.methods import PLAIN, PROMPTED, read_method
from diffusion_geodesics.diffusion import Condition, Denoiser, memory
from diffusion_geodesics.images import load_image
from diffusion_geodesics.models import StableDiffusionModel, from_score, load_model
from diffusion_geodesics.models.attention import demand_plain_attention, interpolated_attention
from diffusion_geodesics.models.unet import UNetNetwork
from tests.tiny_pipelines import tiny_pipeline

QUICK = Settings(steps=6, level=0.5, frames=3, prompt_a="ab", prompt_b="cd")
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


def picture(seed: int) -> Tensor:
    noise = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(32, 32), mode="bicubic").clamp(0, 1)[0]


@pytest.fixture(scope="module")
def stage(model: StableDiffusionModel) -> Stage:
    return set_stage(model, picture(1), picture(2), QUICK)


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
    unet = demand_plain_attention(batch.denoiser.network)
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
    unet = demand_plain_attention(network)
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
    unet = demand_plain_attention(network)
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
    unet = demand_plain_attention(batch.denoiser.network)
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
    unet = demand_plain_attention(batch.denoiser.network)
    attn: Any = next(m for n, m in unet.named_modules() if n.endswith("attn1"))
    attn.group_norm = torch.nn.GroupNorm(4, 16)
    try:
        with pytest.raises(ValueError, match="normalises pictures or keys"):
            demand_plain_attention(batch.denoiser.network)
    finally:
        attn.group_norm = None


def test_a_unet_without_attention_is_refused(batch: Batch) -> None:
    network = batch.denoiser.network
    assert isinstance(network, UNetNetwork)
    bare: Any = torch.nn.Conv2d(4, 4, 1)
    with pytest.raises(ValueError, match="without any attention"):
        demand_plain_attention(replace(network, unet=bare))


@pytest.mark.parametrize("t", [[], [0.5], [0.0, 1.5, 1.0], [0.0, float("nan"), 1.0]])
def test_parameters_are_checked(batch: Batch, t: list[float]) -> None:
    with (
        pytest.raises(ValueError, match=r"at least two, all in \[0, 1\]"),
        interpolated_attention(batch.denoiser.network, torch.tensor(t)),
    ):
        pass


def test_a_batch_cut_by_memory_is_refused(
    batch: Batch, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = demand_plain_attention(batch.denoiser.network)
    before = dict(unet.attn_processors)
    row = batch.denoiser.network.batches.bytes_per_row
    monkeypatch.setattr(memory, "free_bytes", lambda device: 5 * row)
    with pytest.raises(ValueError, match="got 3 of 6 rows.*fewer frames"):
        batch.between(False)
    with pytest.raises(ValueError, match="got 3 of 7 rows.*fewer frames"):
        rendered(stage).render(torch.linspace(0, 1, 5))
    assert unet.attn_processors == before


def rendered(stage: Stage, inner: bool = False) -> Rendered:
    reel = AttentionInterpolation(inner).reel(stage, "pair")
    assert isinstance(reel, Rendered)
    return reel


@EITHER
def test_the_frames_begin_and_end_at_the_images(stage: Stage, inner: bool) -> None:
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    slerp = LevelPath().reel(stage, "pair")
    assert isinstance(slerp, Rendered)
    frames, cost = rendered(stage, inner).render(t)
    plain, usual = slerp.render(t)
    torch.testing.assert_close(frames[[0, 2]], plain[[0, 2]], rtol=0, atol=1e-5)
    assert float((frames[1] - plain[1]).abs().max()) > 1e-4
    assert 3 * cost.rows == 5 * usual.rows > 0, "both ends run beside them"
    assert cost.calls == usual.calls


def test_frames_do_not_depend_on_those_beside_them(stage: Stage) -> None:
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    reel = rendered(stage)
    together = reel.render(t)[0]
    alone = torch.cat([reel.render(u[None])[0] for u in t])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_other_networks_are_refused_by_name() -> None:
    model = from_score(lambda x, sigma: -x, (3, 8, 8))
    settings = Settings(steps=4, level=0.5, frames=3)
    first, last = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="attention interpolation cannot be had from this model"):
        compare(model, [Pair("a", first, last)], [AttentionInterpolation()], settings)


def test_it_is_written_on_the_command_line_and_no_default() -> None:
    assert read_method("attention") == AttentionInterpolation()
    assert read_method("attention:inner=yes") == AttentionInterpolation(inner=True)
    assert read_method("attention").name == "attention interpolation"
    assert not read_method("attention").prompted
    assert not [m for m in (*PLAIN, *PROMPTED) if m.startswith("attention")]
    with pytest.raises(ValueError, match="no option 'bump'"):
        read_method("attention:bump=2")


def test_the_embedded_model_compares_with_it() -> None:
    examples = Path(__file__).parents[1] / "examples"
    first, last = (load_image(examples / f"portrait_{k}.png") for k in "ab")
    pairs, settings = [Pair("heads", first, last)], Settings(steps=4, level=0.5, frames=3)
    done = compare(load_model("embedded"), pairs, [AttentionInterpolation()], settings)
    outcome = done.pairs[0].outcomes["attention interpolation"]
    assert not outcome.failed
    assert not outcome.note
    error = (outcome.frames[[0, -1]] - done.pairs[0].ends).abs().mean()
    step = (outcome.frames[1] - outcome.frames[[0, -1]]).abs().mean()
    assert float(error) < 0.05 < float(step)
