"""One training loop for every network: AdamW, a moving average, and a state that survives a kill.

The batch of a step depends on nothing but the step's number (`generator`), so a run that is
stopped and resumed takes the same steps as one that was not. A budget is in steps (exactly
reproducible) or in minutes of training, summed over resumptions.

Started by torchrun, the processes share each batch and average their gradients. With one thread
each they are faster on a small machine than one process with many threads, which wait for each
other at every operation:

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m training.denoiser
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def generator(step: int, stream: int = 0) -> torch.Generator:
    """The random numbers of a step; different streams are independent."""
    return torch.Generator().manual_seed((stream << 40) + step)


@dataclass(frozen=True)
class Crew:
    """The processes that train together: this one's rank, and how many there are."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls) -> Crew:
        """The crew torchrun started, or a crew of one."""
        if "WORLD_SIZE" not in os.environ:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, n: int) -> slice:
        """This process's part of a batch of n."""
        return slice(self.rank, n, self.size)

    def agree(self, network: nn.Module, seconds: float) -> float:
        """Average the gradients over the crew; returns the clock of rank 0."""
        if self.size == 1:
            return seconds
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        clock = torch.tensor([seconds * self.size if self.rank == 0 else 0.0])
        flat = torch.cat([clock, *(g.reshape(-1) for g in gradients)])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat[1:].split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return flat[0].item()


@dataclass(frozen=True)
class Budget:
    """How long to train: steps, minutes, or whichever ends first."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if not self.steps and not self.minutes:
            raise ValueError("a budget needs steps or minutes, both are missing or zero")

    def progress(self, step: int, seconds: float) -> float:
        """Share of the budget that is spent, in [0, 1]."""
        by_step = step / self.steps if self.steps else 0.0
        by_clock = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_step, by_clock))


@dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warm-up, flat, then a cosine from `flat` to the end."""

    peak: float
    warmup: int = 200
    flat: float = 0.4

    def __call__(self, step: int, progress: float) -> float:
        rise = min(1.0, (step + 1) / self.warmup)
        fall = max(0.0, progress - self.flat) / (1 - self.flat)
        return self.peak * rise * (0.5 + 0.5 * math.cos(math.pi * fall))


@dataclass
class Run:
    """A network in training: weights, optimiser, average, clock."""

    network: nn.Module
    optimiser: torch.optim.AdamW
    average: dict[str, Tensor]
    horizon: int
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    crew: Crew = field(default_factory=Crew.join)

    @classmethod
    def start(cls, network: nn.Module, horizon: int = 500, decay: float = 0.01) -> Run:
        """A fresh run; the average looks back over `horizon` steps, less at the beginning."""
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=decay
        )
        average = {name: p.detach().clone() for name, p in network.named_parameters()}
        return cls(network, optimiser, average, horizon)

    def update(self, loss: Tensor, rate: float) -> None:
        """One optimiser step down the loss, and the average after it."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.seconds = self.crew.agree(self.network, self.seconds)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        weight = max(1 / self.horizon, 9 / (self.step + 10))
        with torch.no_grad():
            for name, p in self.network.named_parameters():
                self.average[name].lerp_(p, weight)
        self.step += 1

    def save(self, path: Path) -> None:
        """Everything a resumption needs, as one safetensors file, replaced atomically."""
        tensors = {f"average/{name}": value for name, value in self.average.items()}
        for name, p in self.network.named_parameters():
            tensors[f"network/{name}"] = p.detach()
            for key, value in self.optimiser.state.get(p, {}).items():
                tensors[f"{key}/{name}"] = value
        tensors = {name: value.clone().contiguous() for name, value in tensors.items()}
        partial = path.with_suffix(".partial")
        clock = {"step": str(self.step), "seconds": str(self.seconds)}
        save_file(tensors, partial, metadata=clock)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Continue from a saved state of the same network."""
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            clock = file.metadata()
        self.step, self.seconds = int(clock["step"]), float(clock["seconds"])
        with torch.no_grad():
            for name, p in self.network.named_parameters():
                p.copy_(tensors[f"network/{name}"])
                self.average[name].copy_(tensors[f"average/{name}"])
                moments = ("step", "exp_avg", "exp_avg_sq")
                self.optimiser.state[p] = {k: tensors[f"{k}/{name}"].clone() for k in moments}

    def load_average(self) -> None:
        """Put the averaged weights into the network (the run cannot go on after this)."""
        self.network.load_state_dict(self.average, strict=False)


def averaged(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a saved state."""
    tensors = load_file(path)
    return {k.removeprefix("average/"): v for k, v in tensors.items() if k.startswith("average/")}


def train(
    run: Run,
    loss: Callable[[int, float], Tensor],
    budget: Budget,
    schedule: Schedule,
    path: Path,
    *,
    save_every: float = 120.0,
    log_every: int = 50,
    on_save: Callable[[Run], str] = lambda run: "",
) -> None:
    """Train to the end of the budget; loss(step, progress). Resumes from path if it exists."""
    first = run.crew.rank == 0
    if path.exists():
        run.load(path)
        print(f"resumed {path} at step {run.step}", flush=True)
    run.network.train()
    last = saved = time.monotonic()
    while (progress := budget.progress(run.step, run.seconds)) < 1:
        value = loss(run.step, progress)
        run.update(value, schedule(run.step, progress))
        run.losses.append(value.item())
        now = time.monotonic()
        run.seconds, last = run.seconds + now - last, now
        if first and run.step % log_every == 0:
            mean = sum(run.losses) / len(run.losses)
            run.losses.clear()
            rate = schedule(run.step, progress)
            print(
                f"step {run.step} {run.seconds / 60:.1f} min loss {mean:.4f} rate {rate:.1e}",
                flush=True,
            )
        if first and now - saved > save_every:
            run.save(path)
            print(f"saved step {run.step} {on_save(run)}", flush=True)
            last = saved = time.monotonic()
    if not first:
        return
    run.save(path)
    print(f"done step {run.step} {run.seconds / 60:.1f} min {on_save(run)}", flush=True)


def add_budget(parser: argparse.ArgumentParser, minutes: float) -> None:
    """The options --minutes and --steps."""
    parser.add_argument("--minutes", type=float, help=f"of training, default {minutes}")
    parser.add_argument("--steps", type=int, help="instead of minutes: exactly reproducible")
    parser.set_defaults(default_minutes=minutes)


def budget_of(options: argparse.Namespace) -> Budget:
    """The budget that was asked for, or the default minutes."""
    if options.minutes is None and options.steps is None:
        return Budget(minutes=options.default_minutes)
    return Budget(options.steps, options.minutes)
