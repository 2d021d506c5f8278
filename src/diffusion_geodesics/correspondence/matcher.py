"""Correspondences of image pairs: a global search, a descent on finer grids, a gate, and a release
of what has no counterpart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence.belief_propagation import BeliefPropagation
from diffusion_geodesics.correspondence.gate import Gate
from diffusion_geodesics.correspondence.halfway_field import FieldDescent
from diffusion_geodesics.correspondence.release import Release
from diffusion_geodesics.correspondence.residuals import join_features, resize
from diffusion_geodesics.correspondence.warp import Matches


@final
@dataclass(frozen=True)
class Matcher:
    """Finds the correspondences of two images by their features and pixels.

    Args:
        search: the global search on the coarsest grid.
        descent: the descent on finer and finer grids.
        gate: the removal of displacements that explain nothing.
        release: of the field where one surface takes the place of another.
        channels: leading principal directions of the features that are kept, at most.
        coarse_weight: length of a feature vector of a grid, in units of that of the next finer one,
            in the global search: fine features alone take one eye for the other.
        max_batch: pairs that are worked on at a time, which bounds the memory.
    """

    search: BeliefPropagation = field(default_factory=BeliefPropagation)
    descent: FieldDescent = field(default_factory=FieldDescent)
    gate: Gate = field(default_factory=Gate)
    release: Release = field(default_factory=Release)
    channels: int = 48
    coarse_weight: float = 1.4
    max_batch: int = 8

    def match(
        self, images: Float[Tensor, "2 3 height width"], grids: Sequence[Float[Tensor, "2 _ _ _"]]
    ) -> Matches:
        """Correspondences of one pair, as :meth:`match_pairs`."""
        return self.match_pairs(images[None], [grid[None] for grid in grids])[0]

    def match_pairs(
        self,
        images: Float[Tensor, "pairs 2 3 height width"],
        grids: Sequence[Float[Tensor, "_ 2 _ _ _"]],
    ) -> list[Matches]:
        """Correspondences of every pair, each the same as if it were alone, on the CPU in float32.

        Raises:
            ValueError: no grids, or grids of other pairs than the images.

        Cost:
            No network function evaluation; 1 to 3 s of a core for a pair of 128 x 128 pixels.
        """
        if not grids:
            raise ValueError(
                "got no grids of features; expected at least one, as extract_features gives for a "
                "network that offers features"
            )
        for grid in grids:
            if grid.shape[:2] != images.shape[:2]:
                raise ValueError(
                    f"got features of shape {tuple(grid.shape)} for images of shape "
                    f"{tuple(images.shape)}; the first two axes, pairs and images, must agree"
                )
        found: list[Matches] = []
        with torch.inference_mode(mode=False), torch.enable_grad():
            for k in range(0, len(images), self.max_batch):
                batch = slice(k, k + self.max_batch)
                fields = self._solve(_copy(images[batch]), [_copy(grid[batch]) for grid in grids])
                matched = [Matches(v.permute(1, 2, 0).contiguous()) for v in fields]
                pairs = zip(matched, images[batch], strict=True)
                found += [self.release.apply(one, _copy(pair)) for one, pair in pairs]
        return found

    def _solve(
        self,
        images: Float[Tensor, "pairs 2 3 height width"],
        grids: Sequence[Float[Tensor, "pairs 2 _ _ _"]],
    ) -> Float[Tensor, "pairs 2 _ _"]:
        """The gated fields of all pairs."""
        shapes = [shape for _, shape in self.descent.plan(*images.shape[-2:])]
        features = self._join(grids, 1.0)
        coarse = self.search.solve(self._join(grids, self.coarse_weight), *shapes[0])
        fine = self.descent.refine(coarse, features, images)
        return self.gate.apply(fine, features, resize(images, shapes[-1]))

    def _join(
        self, grids: Sequence[Float[Tensor, "pairs 2 _ _ _"]], coarse_weight: float
    ) -> Float[Tensor, "pairs 2 channels rows columns"]:
        """Features of all pairs on the finest grid."""
        how = {"channels": self.channels, "cells": self.descent.grids[0].cells}
        pairs = zip(*grids, strict=True)
        return torch.stack([join_features(p, **how, coarse_weight=coarse_weight) for p in pairs])


def _copy(values: Tensor) -> Tensor:
    """A float32 copy on the CPU that gradients may pass through."""
    return values.detach().to("cpu", torch.float32, copy=True)
