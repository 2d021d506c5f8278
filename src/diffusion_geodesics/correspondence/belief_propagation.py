r"""A coarse displacement field by a global search over discrete displacements.

The labels :math:`v` are the multiples of half a cell up to a largest displacement along either
axis. On a grid of nodes :math:`p`, min-sum loopy belief propagation lowers

.. math::
    \sum_p \Big[ 1 - \cos\big(f_A(p - v_p), f_B(p + v_p)\big) + \varphi\, |v_p| \Big]
    + \sum_{p \sim q} \min\big(\lambda\, |v_p - v_q|_1, \kappa\big)

over 4-connected neighbours :math:`p \sim q`, with :math:`|\cdot|_1` counted in labels. Messages are
computed by distance transforms in a time linear in the number of labels. On a chain of nodes the
result is the exact minimum.

References:
    Felzenszwalb and Huttenlocher. Efficient Belief Propagation for Early Vision. International
    Journal of Computer Vision 70, 2006.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence.grid import cell_centres, sample

DIRECTIONS = ((3, 1), (3, -1), (4, 1), (4, -1))
"""Axis of the messages' tensor and step along it: down, up, right, left; each pair is opposite."""

Labels = Float[Tensor, "rows columns 2"]
"""Displacements (x, y) in half edges, sorted along both axes."""
Costs = Float[Tensor, "label_rows label_columns pairs height width"]


@final
@dataclass(frozen=True)
class BeliefPropagation:
    r"""Settings of the global search, chosen on rendered portraits.

    Args:
        max_displacement: largest :math:`|v|` along an axis, in half edges; corresponding points of
            the two images may lie twice as far apart.
        smoothness: :math:`\lambda`, cost of a difference of one label between neighbours.
        max_smoothness: :math:`\kappa`, largest cost between neighbours, that of a discontinuity.
        displacement_cost: :math:`\varphi`, cost of a displacement by a half edge.
        iterations: rounds of messages.
        damping: weight of the previous message in the next one, in [0, 1).
    """

    max_displacement: float = 0.6
    smoothness: float = 0.03
    max_smoothness: float = 0.25
    displacement_cost: float = 0.02
    iterations: int = 40
    damping: float = 0.5

    def solve(
        self, features: Float[Tensor, "pairs 2 channels rows columns"], height: int, width: int
    ) -> Float[Tensor, "pairs 2 height width"]:
        """The field of every pair: displacements in half edges, multiples of half a cell of the
        nodes. Time and memory are linear in labels and nodes."""
        labels = self.labels(height, width)
        nodes = cell_centres(height, width)
        cost = torch.stack([self.unary_cost(pair, labels, nodes) for pair in features], 2)
        messages = [torch.zeros_like(cost) for _ in DIRECTIONS]
        for _ in range(self.iterations):
            belief = cost + torch.stack(messages).sum(0)
            updated = []
            for k, (axis, step) in enumerate(DIRECTIONS):
                received = messages[k ^ 1]  # from the node that this message goes to
                message = self.transform(belief - received).roll(step, axis)
                message.select(axis, 0 if step == 1 else -1).zero_()
                updated.append(torch.lerp(message, messages[k], self.damping))
            messages = updated
        best = (cost + torch.stack(messages).sum(0)).flatten(0, 1).argmin(0)
        return labels.flatten(0, 1)[best].permute(0, 3, 1, 2).contiguous()

    def labels(self, height: int, width: int) -> Labels:
        """All displacements that are tried on a grid of nodes."""
        cell = 2 / min(height, width)
        count = max(1, round(2 * self.max_displacement / cell))
        steps = torch.arange(-count, count + 1) * cell / 2
        return torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)

    def unary_cost(
        self,
        features: Float[Tensor, "2 channels _ _"],
        labels: Labels,
        nodes: Float[Tensor, "height width 2"],
    ) -> Float[Tensor, "label_rows label_columns height width"]:
        """Cost of every label at every node alone: feature distance, size of the displacement, and
        how far it leads out of either image, in half edges."""
        every = labels.reshape(-1, 1, 1, 2)
        points = torch.stack([nodes - every, nodes + every])
        first, second = sample(features, points.flatten(1, 2)).unflatten(2, (len(every), -1))
        cost = 1 - torch.cosine_similarity(first, second, dim=0)
        cost = cost + self.displacement_cost * every.norm(dim=-1)
        border = torch.tensor([nodes.shape[1], nodes.shape[0]]) / min(nodes.shape[:2])
        for sign in (-1, 1):
            cost = cost + ((nodes + sign * every).abs() - border).clamp_min(0).sum(-1)
        return cost.unflatten(0, labels.shape[:2])

    def transform(self, belief: Costs) -> Costs:
        r"""The distance transform :math:`m(v) = \min_u b(u) + \min(\lambda |u - v|_1, \kappa)`,
        less its mean over the labels."""
        most = belief.amin((0, 1), keepdim=True) + self.max_smoothness
        for axis in (0, 1):
            line = list(belief.unbind(axis))
            for i in range(1, len(line)):
                line[i] = torch.minimum(line[i], line[i - 1] + self.smoothness)
            for i in range(len(line) - 2, -1, -1):
                line[i] = torch.minimum(line[i], line[i + 1] + self.smoothness)
            belief = torch.stack(line, axis)
        belief = torch.minimum(belief, most)
        return belief - belief.mean((0, 1), keepdim=True)
