"""A vectorised ray caster for cartoon portraits: analytic ellipsoids with painted features.

Along the ray o + t d(x, y), with d = M (x, y, 1), every ellipsoid gives a quadratic in t whose
coefficients are polynomials in the image coordinates (x, y); all rays of an image are solved by
small matrix products, and only the pixels that are hit are shaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from training.factors import Factors

SKIN_LIGHT, SKIN_DARK = (0.98, 0.82, 0.70), (0.36, 0.22, 0.14)
CAMERA = (0.0, -0.02, 5.2)
FOCAL = 0.235
PIVOT = (0.0, -0.45, -0.1)
HEAD_PARTS, FACE_PARTS = 7, 3
"""The first seven solids turn with the head; features are painted on the first three."""


@dataclass(frozen=True)
class Solids:
    """Ellipsoids of b portraits: centre, radii and colour (b, 9, 3)."""

    centre: Tensor
    radii: Tensor
    colour: Tensor


def solids(f: Factors) -> Solids:
    """Head, jaw, nose, ears, hair cap, long hair (these turn), neck, torso (these do not)."""
    n = len(f)

    def row(*values: Tensor | float) -> Tensor:
        return torch.stack([torch.as_tensor(v, dtype=f.yaw.dtype).expand(n) for v in values], -1)

    light, dark = torch.tensor(SKIN_LIGHT), torch.tensor(SKIN_DARK)
    skin = light + (dark - light) * f.skin[:, None]
    volume = f.hair_volume * 0.12
    length = 0.45 + 0.95 * f.hair_length
    hairy = (1 - f.bald).clamp(min=0.02)
    width = f.head_width
    parts = [
        (row(0, 0, 0), row(width, 0.92, 0.82), skin),
        (row(0, -0.38, 0.12), row(0.44 + 0.16 * f.jaw, 0.56, 0.56), skin),
        (row(0, -0.13, 0.83), row(0.085 * f.nose, 0.15, 0.17 * f.nose), skin),
        (row(-width, -0.05, -0.02), row(0.10, 0.18, 0.13), skin),
        (row(width, -0.05, -0.02), row(0.10, 0.18, 0.13), skin),
        (row(0, 0.10, -0.10), row(width + 0.07, 0.95, 0.86) + volume[:, None], f.hair),
        (
            row(0, 0.30 - length * 0.72, -0.34),
            row(width + 0.06 + volume + 0.1 * f.hair_length, length, 0.5) * hairy[:, None],
            f.hair,
        ),
        (row(0, -0.98, -0.12), row(0.31, 0.55, 0.31), skin),
        (row(0, -2.0, -0.15), row(1.12, 0.86, 0.62), f.shirt),
    ]
    centre, radii, colour = (torch.stack(values, 1) for values in zip(*parts, strict=True))
    return Solids(centre, radii, colour)


def rotation(f: Factors) -> Tensor:
    """(n, 3, 3), head frame to world: roll after yaw after pitch."""
    zero, one = torch.zeros_like(f.yaw), torch.ones_like(f.yaw)
    cy, sy, cp, sp = f.yaw.cos(), f.yaw.sin(), f.pitch.cos(), f.pitch.sin()
    cr, sr = f.roll.cos(), f.roll.sin()
    yaw = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1).view(-1, 3, 3)
    pitch = torch.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], -1).view(-1, 3, 3)
    roll = torch.stack([cr, -sr, zero, sr, cr, zero, zero, zero, one], -1).view(-1, 3, 3)
    return roll @ yaw @ pitch


def smoothstep(a: float | Tensor, b: float | Tensor, x: Tensor) -> Tensor:
    """0 at a, 1 at b, smooth between; a > b falls instead of rising."""
    t = ((x - a) / (b - a)).clamp(0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Frame:
    """A portrait's geometry. rays: pixels' (x, y, 1), (3, p); origin (n, 2, 3) and ray_map
    (n, 2, 3, 3) of the head's frame (0) and the world (1); rotation (n, 3, 3)."""

    rays: Tensor
    origin: Tensor
    ray_map: Tensor
    rotation: Tensor


def frame(f: Factors, side: int) -> Frame:
    axis = (torch.arange(side) * 2 + 1 - side) / side
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    rays = torch.stack([x.reshape(-1), y.reshape(-1), torch.ones(side * side)])
    turn = rotation(f)
    back = turn.transpose(1, 2)
    camera, pivot = torch.tensor(CAMERA), torch.tensor(PIVOT)
    world_map = torch.diag(torch.tensor((FOCAL, FOCAL, -1.0)))
    head_origin = torch.einsum("nij,j->ni", back, camera - pivot) + pivot
    origin = torch.stack([head_origin, camera.expand_as(head_origin)], 1)
    ray_map = torch.stack([back @ world_map, world_map.expand_as(back)], 1)
    return Frame(rays, origin, ray_map, turn)


def first_hit(f: Factors, parts: Solids, view: Frame) -> tuple[Tensor, Tensor]:
    """Ray parameter and index of the nearest solid (index -1: background), each (n, p)."""
    x, y, one = view.rays
    squares = torch.stack([x * x, y * y, x * y, x, y, one])
    nearest = torch.full((len(f), x.shape[0]), 1e8)
    index = torch.full((len(f), x.shape[0]), -1)
    for k in range(parts.centre.shape[1]):
        moving = int(k >= HEAD_PARTS)
        radii = parts.radii[:, k].double()
        start = (view.origin[:, moving].double() - parts.centre[:, k]) / radii
        scaled = view.ray_map[:, moving].double() / radii[:, :, None]
        gram = scaled.transpose(1, 2) @ scaled
        linear = torch.einsum("ni,nij->nj", start, scaled)
        rest = (start * start).sum(1) - 1
        discriminant = linear[:, :, None] * linear[:, None, :] - rest[:, None, None] * gram
        root = _quadratic(discriminant) @ squares
        half = linear.float() @ view.rays
        t = (-half - root.clamp(min=0).sqrt()) / (_quadratic(gram) @ squares)
        hit = (root > 0) & (t < nearest)
        if k in (5, 6):
            point = [
                view.origin[:, 0, i, None] + t * (view.ray_map[:, 0, i] @ view.rays)
                for i in range(3)
            ]
            hit &= _hair(f, point) if k == 5 else (point[2] < 0.15) & (f.bald < 0.98)[:, None]
        nearest = torch.where(hit, t, nearest)
        index = torch.where(hit, k, index)
    return nearest, index


def _quadratic(form: Tensor) -> Tensor:
    """Coefficients of m' form m for m = (x, y, 1), in the order x2, y2, xy, x, y, 1."""
    entries = [
        form[:, 0, 0],
        form[:, 1, 1],
        2 * form[:, 0, 1],
        2 * form[:, 0, 2],
        2 * form[:, 1, 2],
        form[:, 2, 2],
    ]
    return torch.stack(entries, 1).float()


def _hair(f: Factors, point: list[Tensor]) -> Tensor:
    """Where the hair cap has hair: above a line that drops towards the temples and the back."""
    x, y, z = point
    line = f.hairline + 3 * f.bald
    temples = 0.12 * (x * 3).abs().clamp(max=1) ** 2
    return y > line[:, None] - temples - 1.1 * (0.62 - z).clamp(min=0)


def paint_face(f: Factors, which: Tensor, x: Tensor, y: Tensor, colour: Tensor) -> Tensor:
    """Features on the front of the face, at points x, y (k,) of portraits `which` (k,)."""
    skin = colour

    def of(name: str) -> Tensor:
        return f.tensors()[name][which]

    def paint(mask: Tensor, with_colour: Tensor | tuple[float, float, float]) -> None:
        nonlocal colour
        target = torch.as_tensor(with_colour, dtype=colour.dtype)
        colour = colour + mask[:, None] * (target - colour)

    hair, edge = of("hair"), 0.018
    around_mouth = ((x / 1.3) ** 2 + (y + 0.42) ** 2).sqrt()
    beard = smoothstep(-0.18, -0.34, y + 0.25 * (0.25 - x.abs()).clamp(min=0))
    paint(of("beard") * beard * (1 - 0.8 * smoothstep(0.14, 0.08, around_mouth)), hair * 0.85)
    cheek = torch.exp(-(((x.abs() - 0.38) / 0.16) ** 2 + ((y + 0.2) / 0.11) ** 2))
    paint(cheek * 0.28, (0.92, 0.35, 0.32))

    # Each half of the face paints its own eye, brow and glass.
    size, spacing, height = of("eye_size"), of("eye_spacing"), 0.10
    side = torch.sign(x)
    dx, dy = x - side * spacing, y - height
    eye = ((dx / size) ** 2 + (dy / (size * 0.78 * of("eye_open"))) ** 2).sqrt()
    white = smoothstep(1.06, 0.92, eye)
    paint(smoothstep(1.32, 1.15, eye), skin * 0.45)
    paint(white, (0.97, 0.97, 0.97))
    gx = dx - of("gaze") * size * 0.45
    iris = (gx**2 + dy**2).sqrt() / size
    paint(white * smoothstep(0.66, 0.52, iris), of("eye"))
    paint(white * smoothstep(0.36, 0.24, iris), (0.03, 0.03, 0.03))
    glint = ((gx - 0.3 * size * of("light")) ** 2 + (dy - 0.25 * size) ** 2).sqrt() / size
    paint(white * smoothstep(0.17, 0.08, glint), (1.0, 1.0, 1.0))
    brow = of("brow")
    arch = height + 0.245 + 0.06 * brow * side * dx / 0.15 + 0.03 * brow.abs() - 1.2 * dx**2
    paint(smoothstep(0.05, 0.03, (y - arch).abs()) * smoothstep(0.19, 0.155, dx.abs()), hair * 0.6)
    glasses, black = of("glasses"), (0.08, 0.08, 0.10)
    rim = ((dx / 0.225) ** 2 + (dy / 0.2) ** 2).sqrt()
    paint(smoothstep(0.16, 0.10, (rim - 1).abs()) * glasses, black)
    bridge = smoothstep(0.045, 0.025, (dy - 0.03).abs())
    paint(bridge * smoothstep(spacing - 0.2, spacing - 0.225, x.abs()) * glasses, black)

    q = x / of("mouth_width")
    opening = of("mouth_open")
    off = y + 0.47 - 0.10 * of("smile") * (q**2 - 0.5)
    thick = 0.028 + 0.11 * opening * (1 - q**2).clamp(min=0)
    inside = smoothstep(1.05, 0.95, q.abs())
    lips = torch.tensor((0.72, 0.25, 0.25)) * (0.55 + 0.45 * skin.mean(1, keepdim=True))
    paint(smoothstep(edge, -edge, off.abs() - thick - 0.022) * inside, lips)
    hole = smoothstep(edge, -edge, off.abs() - (thick - 0.02)) * inside
    paint(hole * smoothstep(0.05, 0.25, opening), (0.25, 0.05, 0.06))
    teeth = smoothstep(edge, -edge, (off - thick * 0.62).abs() - 0.25 * thick) * inside
    paint(teeth * smoothstep(0.3, 0.6, opening), (0.95, 0.95, 0.93))
    return colour


def shade(f: Factors, parts: Solids, view: Frame, nearest: Tensor, index: Tensor) -> Tensor:
    """Colours (n, p, 3): background, and lit solids where a ray hits."""
    x, y, _ = view.rays
    glow = 0.80 + 0.22 * smoothstep(1.5, 0.1, (x**2 + (y - 0.1) ** 2).sqrt())
    image = f.background[:, None] * glow[None, :, None]
    which, pixel = (index >= 0).nonzero(as_tuple=True)
    solid = index[which, pixel]
    moving = (solid >= HEAD_PARTS).long()
    t = nearest[which, pixel][:, None]
    ray = torch.empty(len(which), 3)
    for n in range(len(f)):
        for m in (0, 1):
            here = (which == n) & (moving == m)
            ray[here] = (view.ray_map[n, m] @ view.rays[:, pixel[here]]).T
    point = view.origin[which, moving] + t * ray
    normal = normalize((point - parts.centre[which, solid]) / parts.radii[which, solid] ** 2, dim=1)
    colour = parts.colour[which, solid]
    face = ((solid < FACE_PARTS) & (point[:, 2] > 0.12)).nonzero()[:, 0]
    colour[face] = paint_face(f, which[face], point[face, 0], point[face, 1], colour[face])

    angle = f.light * 0.9
    lamp = torch.stack([angle.sin() * 0.8, torch.full_like(angle, 0.55), angle.cos() * 0.85], -1)
    lamp = normalize(lamp, dim=1)
    head_lamp = torch.einsum("nji,nj->ni", view.rotation, lamp)
    lamps = torch.stack([head_lamp, lamp], 1)[which, moving]
    diffuse = ((normal * lamps).sum(1) * 0.5 + 0.5).clamp(0, 1) ** 1.4
    towards = -normalize(ray, dim=1)
    rim = (1 - (normal * towards).sum(1).clamp(0, 1)) ** 3
    shine = (normal * normalize(lamps + towards, dim=1)).sum(1).clamp(min=0) ** 24 * 0.16
    body = (moving == 1).nonzero()[:, 0]
    lit = torch.ones_like(diffuse)
    lit[body] = _head_shadow(parts, view, head_lamp, which[body], point[body])
    luminance = 0.30 + 0.80 * diffuse * (0.35 + 0.65 * lit)
    image[which, pixel] = colour * (luminance - 0.12 * rim)[:, None] + (shine * lit)[:, None]
    return image.clamp(0, 1)


def _head_shadow(
    parts: Solids, view: Frame, head_lamp: Tensor, which: Tensor, point: Tensor
) -> Tensor:
    """Soft shadow of the head on neck and torso: 0 in the umbra, 1 in the light."""
    pivot, radii = torch.tensor(PIVOT), parts.radii[:, 0]
    local = torch.einsum("kji,kj->ki", view.rotation[which], point - pivot) + pivot
    local = local / radii[which]
    towards = normalize(head_lamp / radii, dim=1)[which]
    along = (local * towards).sum(1)
    distance = ((local * local).sum(1) - along * along).clamp(min=0).sqrt()
    return torch.where(along < 0, smoothstep(0.65, 1.25, distance), 1.0)


@torch.no_grad()
def render(factors: Factors, size: int = 128, supersample: int = 2, chunk: int = 8) -> Tensor:
    """Images (n, 3, size, size) in [0, 1]; each portrait independent of its batch."""
    if size < 1 or supersample < 1:
        raise ValueError(f"size and supersample must be positive, got {size} and {supersample}")
    images: list[Tensor] = []
    for first in range(0, len(factors), chunk):
        f = factors.select(slice(first, first + chunk)).map(lambda _, value: value.float())
        side = size * supersample
        parts, view = solids(f), frame(f, side)
        pixels = shade(f, parts, view, *first_hit(f, parts, view))
        image = pixels.view(len(f), side, side, 3).permute(0, 3, 1, 2)
        images.append(avg_pool2d(image, supersample) if supersample > 1 else image.contiguous())
    return torch.cat(images) if images else torch.empty(0, 3, size, size)
