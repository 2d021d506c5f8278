r"""A coarse field, found among all displacements at once.

Labels v are multiples of half a cell up to `REACH` along either axis. On a grid of nodes p, min-sum
belief propagation lowers

.. math:: \sum_p 1 - \cos\big(f_A(p-v_p), f_B(p+v_p)\big) + \varphi |v_p|
          + \sum_{p \sim q} \min(\lambda |v_p - v_q|_1, \kappa),

with messages by distance transforms, which cost what there are labels and not the square of it.

References
----------
Felzenszwalb and Huttenlocher, Efficient Belief Propagation for Early Vision, International Journal
of Computer Vision 70, 2006.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence.places import places, seen_at

REACH = 0.6
"""Largest displacement along an axis, in half edges; between the images it is twice that."""
STRENGTH = 0.03
"""λ: cost of a step by one label between neighbours."""
MOST = 0.25
"""κ: largest cost between neighbours, that of a tear."""
FAR = 0.02
"""φ: cost of a unit of displacement."""
SWEEPS = 40
"""Rounds of messages."""
DAMPING = 0.5
"""Share of the old message in the new one."""
SIDES = ((2, 1), (2, -1), (3, 1), (3, -1))
"""Axis and direction of the four messages: down, up, right, left."""


def believe(
    features: Float[Tensor, "2 channels rows columns"], height: int, width: int
) -> Float[Tensor, "1 2 height width"]:
    """The coarse field of two images.

    Args:
        features: of both.
        height, width: of the grid of nodes.
    """
    cell = 2 / min(height, width)
    reach = max(1, round(2 * REACH / cell))
    steps = torch.arange(-reach, reach + 1) * cell / 2
    labels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    cost = _unlike(features, labels.reshape(-1, 1, 1, 2), places(height, width))
    cost = cost.unflatten(0, labels.shape[:2])
    messages = [torch.zeros_like(cost) for _ in SIDES]
    for _ in range(SWEEPS):
        total = cost + torch.stack(messages).sum(0)
        sent = []
        for k, (axis, step) in enumerate(SIDES):
            back = messages[k ^ 1]  # what came from there is not sent back
            message = _spread(total - back).roll(step, axis)
            message.select(axis, 0 if step == 1 else -1).zero_()
            sent.append(torch.lerp(message, messages[k], DAMPING))
        messages = sent
    best = (cost + torch.stack(messages).sum(0)).flatten(0, 1).argmin(0)
    return labels.reshape(-1, 2)[best].permute(2, 0, 1)[None].contiguous()


def _unlike(features: Tensor, labels: Tensor, nodes: Tensor) -> Float[Tensor, "labels _ _"]:
    """What every label costs at every node by itself; leaving the image costs as it goes."""
    way = torch.stack([nodes - labels, nodes + labels])
    first, last = seen_at(features, way.flatten(1, 2)).unflatten(2, (len(labels), -1))
    cost = 1 - torch.cosine_similarity(first, last, dim=0) + FAR * labels.norm(dim=-1)
    edge = torch.tensor([nodes.shape[1], nodes.shape[0]]) / min(nodes.shape[:2])
    for sign in (-1, 1):
        cost = cost + ((nodes + sign * labels).abs() - edge).clamp_min(0).sum(-1)
    return cost


def _spread(belief: Float[Tensor, "rows columns _ _"]) -> Float[Tensor, "rows columns _ _"]:
    """The least of belief and cost of a step, over all labels to step from; its mean is 0."""
    most = belief.amin((0, 1), keepdim=True) + MOST
    for axis in (0, 1):
        line = list(belief.unbind(axis))
        for i in range(1, len(line)):
            line[i] = torch.minimum(line[i], line[i - 1] + STRENGTH)
        for i in range(len(line) - 2, -1, -1):
            line[i] = torch.minimum(line[i], line[i + 1] + STRENGTH)
        belief = torch.stack(line, axis)
    belief = torch.minimum(belief, most)
    return belief - belief.mean((0, 1), keepdim=True)
