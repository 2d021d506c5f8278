"""What a comparison found: scores of every method on every pair, and what they amount to."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics import measures
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.measures import Better, Features, Interval, Quantity, Skipped
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.runtime.diagnostic import Diagnostic

DRAWS = 10  # random draws that FID by DiffMorpher's protocol is averaged over


@dataclass(frozen=True, eq=False)
class Outcome:
    """One method on one pair."""

    # at equal feature steps, (frames, 3, height, width)
    frames: Float[Tensor, "frames 3 height width"]
    scores: Mapping[str, float]  # quantities by name; NaN where one is not defined
    note: str = ""  # what must be known about it, such as how a solver ended; empty if all is well
    failed: bool = False  # there are no frames, only black ones in their place


@dataclass(frozen=True, eq=False)
class PairResult:
    """Every method on one pair."""

    name: str  # of the pair
    ends: Float[Tensor, "2 3 height width"]  # both images at the working size
    outcomes: Mapping[str, Outcome]  # by the name of the method
    foreign: str = ""  # which of them the model does not know, in words; empty where it knows both

    @property
    def disagreement(self) -> float:
        """How far methods are apart: root mean square deviation of the frames between from their
        mean over methods, over that of both ends, in pooled pixels."""
        look = measures.PooledPixels()
        shown = [o.frames for o in self.outcomes.values() if not o.failed]
        if len(shown) < 2:
            return 0.0
        strips = [look(frames[1:-1]).double() for frames in shown]
        count = min(len(s) for s in strips)
        middle = torch.stack([s[(len(s) - count) // 2 :][:count] for s in strips])
        spread = (middle - middle.mean(0)).square().mean().sqrt()
        gap = look(self.ends).double().diff(dim=0).square().mean().sqrt()
        return float(spread / gap.clamp_min(1e-12))


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """Several methods on the same pairs."""

    methods: Sequence[str]  # names, in order
    quantities: Sequence[Quantity]  # what every pair has
    pairs: Sequence[PairResult]  # the results
    baseline: str | None  # the method that win rates are against; None where it is not there
    features: str  # what frames are re-timed in, in words
    inception: Features | None = None  # for FID and KID; None where it is absent
    truth: str | None = None  # the method whose frames are real, for the two-sample test
    skipped: Sequence[Skipped] = ()  # measures that could not be made
    settings: ComparisonSettings | None = None  # None where frames of others are evaluated
    model: ModelInfo | None = None
    record: Mapping[str, object] = field(default_factory=dict)  # what else results depend on
    seed: int = 0  # of every resampling
    warnings: tuple[Diagnostic, ...] = ()  # what must be known before the figures are believed

    def values(self, method: str, quantity: str) -> list[float]:
        """Pair by pair; NaN where a pair lacks the method or the quantity."""
        scores = [p.outcomes[method].scores if method in p.outcomes else {} for p in self.pairs]
        return [float(found.get(quantity, math.nan)) for found in scores]

    def mean(self, method: str, quantity: str) -> Interval:
        """Mean over pairs with its 95% bootstrap interval."""
        return measures.bootstrap_mean(self.values(method, quantity), seed=self.seed)

    def wins(self, method: str, quantity: Quantity) -> Interval | None:
        """Share of pairs on which the method beats the baseline; None where nothing ranks."""
        if quantity.better is Better.NEITHER or self.baseline in (None, method):
            return None
        own, other = (self.values(str(m), quantity.name) for m in (method, self.baseline))
        found = measures.win_rate(own, other, quantity.better, seed=self.seed)
        return found if found.count else None

    @property
    def measured(self) -> tuple[Quantity, ...]:
        """The quantities that at least one method has a value of."""
        values = {q: [self.values(m, q.name) for m in self.methods] for q in self.quantities}
        return tuple(q for q, found in values.items() if np.isfinite(found).any())

    def by_disagreement(self) -> list[PairResult]:
        """Pairs, those first on which methods differ most."""
        return sorted(self.pairs, key=lambda p: (-p.disagreement, p.name))

    def sets(self) -> tuple[tuple[Quantity, ...], dict[str, dict[str, float]]]:
        """What whole sets of frames give: FID and KID against the images, C2ST against the
        truth. Names of quantities, and values by method."""
        chosen = self._set_measures()
        values = {m: {q.name: measure(m) for q, measure in chosen} for m in self.methods}
        return tuple(quantity for quantity, _ in chosen), values

    def _set_measures(self) -> list[tuple[Quantity, Callable[[str], float]]]:
        chosen: list[tuple[Quantity, Callable[[str], float]]] = []
        inception = self.inception
        if inception is not None and len(self.pairs) > 1:
            images = inception(torch.cat([p.ends for p in self.pairs])).double().numpy()
            told = (
                "of both images of all pairs against two random frames between them a pair, mean "
                f"of {DRAWS} draws (DiffMorpher's protocol)"
            )
            warn = "biased for few pairs: compare only within one run"
            fid = Quantity("FID", Better.LOWER, f"Fréchet Inception distance {told}", warn)
            kid = Quantity("KID", Better.LOWER, f"kernel Inception distance {told}")
            chosen = [
                (quantity, partial(self._drawn, inception, images, distance))
                for quantity, distance in ((fid, measures.frechet), (kid, measures.kernel_distance))
            ]
        if self.truth is not None and len(self.pairs) > 1:
            about = (
                "accuracy of telling frames between from real ones, cross-fitted over pairs; 0.5 "
                "is the floor"
            )
            chosen.append((Quantity("C2ST", Better.LOWER, about), self._told_apart))
        return chosen

    def _with(self, *methods: str) -> list[PairResult]:
        """The pairs that have frames of these methods."""
        good = ({m for m, o in p.outcomes.items() if not o.failed} for p in self.pairs)
        return [p for p, known in zip(self.pairs, good, strict=True) if known.issuperset(methods)]

    def _drawn(
        self,
        inception: Features,
        images: np.ndarray,
        distance: Callable[[np.ndarray, np.ndarray], float],
        method: str,
    ) -> float:
        frames = [p.outcomes[method].frames[1:-1] for p in self._with(method)]
        features = [inception(f).double().numpy() for f in frames]
        if len(features) < 2:
            return math.nan
        random = np.random.default_rng(self.seed)

        def draw() -> np.ndarray:
            chosen = [random.choice(len(f), min(2, len(f)), replace=False) for f in features]
            return np.concatenate([f[i] for f, i in zip(features, chosen, strict=True)])

        return float(np.mean([distance(images, draw()) for _ in range(DRAWS)]))

    def _told_apart(self, method: str) -> float:
        if method == self.truth:
            return math.nan
        both = self._with(method, str(self.truth))
        if len(both) < 2:
            return math.nan
        parts = []
        for name in (method, str(self.truth)):
            frames = [p.outcomes[name].frames[1:-1] for p in both]
            groups = np.repeat(np.arange(len(both)), [len(f) for f in frames])
            parts.append((np.concatenate([plain_features(f) for f in frames]), groups))
        (a, groups_a), (b, groups_b) = parts
        return measures.two_sample_accuracy(a, b, groups_a, groups_b, seed=self.seed)


def plain_features(images: Tensor) -> np.ndarray:
    """Simple features for the two-sample test: the image averaged to 16 x 16 pixels, and the
    logarithm of the gradients' energy in 8 x 8 fields of the image and of its half size."""
    from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

    x = images.double()
    found = [adaptive_avg_pool2d(x, 16).flatten(1)]
    for scaled in (x, avg_pool2d(x, 2)):
        for gradient in (scaled.diff(dim=-1), scaled.diff(dim=-2)):
            energy = adaptive_avg_pool2d(gradient.square().mean(1, keepdim=True), 8)
            found.append((energy + 1e-6).log().flatten(1))
    return torch.cat(found, 1).numpy()
