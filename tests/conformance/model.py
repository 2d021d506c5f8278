r"""What every model family must do, with its network replaced by the exact one of a Gaussian.

Each family says how its network is *called*: `seen` reads latents, noise and text back out of
the arguments that the adapter passed to `forward`, by diffusers' conventions and not by the
adapter's, and puts the exact output into the shape that the real network gives. All else is the
real adapter: packing, time scaling, conditioning, schedule, prediction.

Every family works on 256 coordinates here, so that all can be given the same density.
"""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import (
    Condition,
    EDMPrediction,
    EpsilonPrediction,
    FlowPrediction,
    Prediction,
    VelocityPrediction,
)
from diffusion_geodesics.models.families import (
    DDPM,
    DIT,
    FLUX,
    PIXART,
    SDXL,
    STABLE_DIFFUSION,
    STABLE_DIFFUSION_3,
    ModelFamily,
)
from tests.conformance.denoiser import Gaussian, exact_output
from tests.tiny.ddpm import tiny_ddpm
from tests.tiny.dit import tiny_dit
from tests.tiny.flux import tiny_flux
from tests.tiny.pixart import tiny_pixart
from tests.tiny.sd3 import tiny_sd3
from tests.tiny.sdxl import tiny_playground, tiny_sdxl
from tests.tiny_pipelines import tiny_pipeline

DIM = 256


@final
@dataclass(frozen=True)
class Seen:
    """What a network was shown: latents (rows, dim) with their (a, s), and a number a text.

    - `pack`: (rows, dim) to what the real network gives.
    """

    x: Tensor
    a: float
    s: float
    text: Tensor
    pack: Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True)
class FamilyCase:
    """A model family under test.

    - `family`: its name in the registry.
    - `make`: builds a tiny random pipeline; `folder` is for tokenizers.
    - `part`: which of its parts is the denoising network.
    - `size`: (height, width) of images whose latents have 256 coordinates.
    - `prompts`: two prompts, the first of which may be the only one.
    - `timesteps`: where noise is known without rounding.
    - `seen`: reads a call of the network (pipeline, positional arguments, keyword arguments).
    - `text`: the number that a condition's text is read as, one a row.
    """

    name: str
    family: str
    make: Callable[[Path], Any]
    part: str
    size: tuple[int, int]
    prompts: tuple[str, str]
    prediction: Prediction
    timesteps: tuple[float, ...]
    seen: Callable[..., Seen]
    text: Callable[[Any, Condition], Tensor]


def make_exact(case: FamilyCase, pipe: Any, data: Gaussian) -> None:
    """Replaces the network's `forward`; hooks and the call itself stay."""
    truth = Gaussian(data.mean.double(), data.std.double())

    def forward(*args: Any, **kwargs: Any) -> tuple[Tensor]:
        seen = case.seen(pipe, *args, **kwargs)
        shift = seen.text.double()[:, None]
        output = exact_output(truth, case.prediction, seen.x.double(), seen.a, seen.s, shift)
        return (seen.pack(output.to(seen.x)),)

    getattr(pipe, case.part).forward = forward


def gaussian(dtype: torch.dtype = torch.float64) -> Gaussian:
    """The density that all families are given."""
    generator = torch.Generator().manual_seed(7)
    mean = torch.randn(DIM, generator=generator, dtype=torch.float64)
    std = 0.4 + torch.rand(DIM, generator=generator, dtype=torch.float64)
    return Gaussian(mean.to(dtype), std.to(dtype))


# How the families call their networks


def _number(*tensors: Tensor) -> Tensor:
    """One number a row, of all parts of a text."""
    means = [tensor.flatten(1).mean(dim=1) for tensor in tensors]
    return torch.stack(means).sum(dim=0)


def _betas(pipe: Any, timestep: Any) -> tuple[float, float]:
    """(a, s) by the scheduler's own table; between its entries, log(s/a) is linear."""
    time, table = float(torch.as_tensor(timestep).flatten()[0]), pipe.scheduler.alphas_cumprod

    def log_ratio(index: int) -> float:
        alpha = float(table[index].double())
        return 0.5 * math.log((1 - alpha) / alpha)

    low = math.floor(time)
    logs = log_ratio(low)
    if low != time:
        logs += (time - low) * (log_ratio(low + 1) - logs)
    return 1 / math.hypot(1, math.exp(logs)), math.exp(logs) / math.hypot(1, math.exp(logs))


def _like(x: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda flat: flat.reshape(x.shape)


def _with_variance(x: Tensor) -> Callable[[Tensor], Tensor]:
    """The network's further channels hold a variance, which nobody should read."""
    return lambda flat: torch.cat([flat.reshape(x.shape), torch.full_like(x, math.nan)], dim=1)


def _sd(pipe: Any, x: Tensor, t: Any, *, encoder_hidden_states: Tensor, **_: Any) -> Seen:
    text = _number(encoder_hidden_states)
    return Seen(x.flatten(1), *_betas(pipe, t), text, _like(x))


def _sdxl_text(text: Tensor, added: dict[str, Tensor], rows: int) -> Tensor:
    sizes = torch.tensor([32, 32, 0, 0, 32, 32], device=text.device)
    assert torch.equal(added["time_ids"].long(), sizes.expand(rows, 6))
    return _number(text, added["text_embeds"])


def _sdxl(
    pipe: Any, x: Tensor, t: Any, *, encoder_hidden_states: Tensor, added_cond_kwargs: Any, **_: Any
) -> Seen:
    text = _sdxl_text(encoder_hidden_states, added_cond_kwargs, len(x))
    return Seen(x.flatten(1), *_betas(pipe, t), text, _like(x))


def _edm(
    pipe: Any, x: Tensor, t: Any, *, encoder_hidden_states: Tensor, added_cond_kwargs: Any, **_: Any
) -> Seen:
    sigma = math.exp(4 * float(t))
    text = _sdxl_text(encoder_hidden_states, added_cond_kwargs, len(x))
    unscaled = x * math.hypot(sigma, pipe.scheduler.config["sigma_data"])
    return Seen(unscaled.flatten(1), 1.0, sigma, text, _like(x))


def _sd3(
    pipe: Any,
    *,
    hidden_states: Tensor,
    timestep: Tensor,
    encoder_hidden_states: Tensor,
    pooled_projections: Tensor,
    **_: Any,
) -> Seen:
    sigma = float(timestep[0]) / 1000
    text = _number(encoder_hidden_states, pooled_projections)
    return Seen(hidden_states.flatten(1), 1 - sigma, sigma, text, _like(hidden_states))


def _flux(
    pipe: Any,
    *,
    hidden_states: Tensor,
    timestep: Tensor,
    encoder_hidden_states: Tensor,
    pooled_projections: Tensor,
    guidance: Tensor | None,
    **_: Any,
) -> Seen:
    assert guidance is not None
    assert guidance.tolist() == [3.5] * len(hidden_states)
    sigma = float(timestep[0])
    text = _number(encoder_hidden_states, pooled_projections)
    latents = pipe._unpack_latents(hidden_states, 32, 32, 4)

    def pack(flat: Tensor) -> Tensor:
        return pipe._pack_latents(flat.reshape(latents.shape), len(flat), *latents.shape[1:])

    return Seen(latents.flatten(1), 1 - sigma, sigma, text, pack)


def _pixart(
    pipe: Any, x: Tensor, *, timestep: Tensor, encoder_hidden_states: Tensor, **_: Any
) -> Seen:
    text = _number(encoder_hidden_states)
    return Seen(x.flatten(1), *_betas(pipe, timestep), text, _with_variance(x))


def _dit(pipe: Any, x: Tensor, *, timestep: Tensor, class_labels: Tensor, **_: Any) -> Seen:
    embedder = pipe.transformer.transformer_blocks[0].norm1.emb.class_embedder
    text = _number(embedder(class_labels))
    return Seen(x.flatten(1), *_betas(pipe, timestep), text, _with_variance(x))


def _dit_text(pipe: Any, condition: Condition) -> Tensor:
    embedder = pipe.transformer.transformer_blocks[0].norm1.emb.class_embedder
    table = embedder.embedding_table.weight.detach()
    return condition.parts[0].to(table) @ table.mean(dim=1)


def _ddpm(pipe: Any, x: Tensor, t: Tensor, **_: Any) -> Seen:
    return Seen(x.flatten(1), *_betas(pipe, t), torch.zeros(len(x)), _like(x))


def _all_text(pipe: Any, condition: Condition) -> Tensor:
    return _number(*condition.parts)


def _first_text(pipe: Any, condition: Condition) -> Tensor:
    return _number(condition.parts[0])


def _no_text(pipe: Any, condition: Condition) -> Tensor:
    return torch.zeros(condition.rows)


BETAS = (1, 300, 999)
FLOW = (125.0, 250.0, 500.0, 1000.0)
SIGMAS = (0.005, 1.0, 20.0)


def _stable(prediction: str) -> Callable[[Path], Any]:
    return lambda folder: tiny_pipeline(folder, prediction=prediction, alpha_to_one=True)


EPSILON, V = EpsilonPrediction(), VelocityPrediction()
VELOCITY, EDM = FlowPrediction(), EDMPrediction(sigma_data=0.5)


def _case(
    name: str,
    family: ModelFamily,
    make: Callable[[Path], Any],
    prediction: Prediction,
    timesteps: tuple[float, ...],
    seen: Callable[..., Seen],
    text: Callable[[Any, Condition], Tensor],
    *,
    size: tuple[int, int] = (32, 32),
    prompts: tuple[str, str] = ("abc", "z"),
) -> FamilyCase:
    part = family.parts[0]
    return FamilyCase(
        name, family.name, make, part, size, prompts, prediction, timesteps, seen, text
    )


CASES: tuple[FamilyCase, ...] = (
    _case("sd", STABLE_DIFFUSION, _stable("epsilon"), EPSILON, BETAS, _sd, _all_text),
    _case("sd-v", STABLE_DIFFUSION, _stable("v_prediction"), V, BETAS, _sd, _all_text),
    _case("sdxl", SDXL, tiny_sdxl, EPSILON, BETAS, _sdxl, _all_text),
    _case("playground", SDXL, tiny_playground, EDM, SIGMAS, _edm, _all_text),
    _case("sd3", STABLE_DIFFUSION_3, tiny_sd3, VELOCITY, FLOW, _sd3, _all_text, size=(16, 16)),
    _case("flux", FLUX, tiny_flux, VELOCITY, FLOW, _flux, _all_text),
    _case("pixart", PIXART, lambda _: tiny_pixart(), EPSILON, BETAS, _pixart, _first_text),
    _case("dit", DIT, lambda _: tiny_dit(), EPSILON, BETAS, _dit, _dit_text, prompts=("hen", "2")),
    _case(
        "ddpm",
        DDPM,
        lambda _: tiny_ddpm(1),
        EPSILON,
        BETAS,
        _ddpm,
        _no_text,
        size=(16, 16),
        prompts=("", ""),
    ),
)
