"""Augmentations, batched: pictures at 144 pixels → crops at 128, float32 in [0, 1].

They follow the cutouts of the guidance loop, so that the model is sure of itself on the very views
it will be asked about. All randomness comes from the generator that is passed in.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def uniform(shape: tuple[int, ...], low: float, high: float, rng: Generator) -> Tensor:
    """Return uniform numbers in [low, high] of `shape`."""
    return torch.rand(shape, generator=rng) * (high - low) + low


def warp(
    images: Tensor,  # [B, C, S, S]
    size: int,
    rng: Generator,
    side: tuple[float, float] = (0.55, 1.0),
    padding: str = "reflection",
) -> Tensor:
    """Random crop, flip, rotation, stretch and perspective in one: ``[B, C, size, size]``.

    Args:
        images: Pictures.
        size: Side of the result in pixels.
        rng: Source of randomness.
        side: Range of the crop's side as a fraction of the picture's; above 1 it zooms out.
        padding: What lies outside, as in `torch.nn.functional.grid_sample`.
    """
    n = len(images)
    scale = uniform((n,), *side, rng)
    stretch = uniform((n,), -0.18, 0.18, rng).exp()
    angle = uniform((n,), -1, 1, rng) ** 3 * math.radians(25)
    flip = torch.randint(0, 2, (n,), generator=rng) * 2 - 1
    room = (1 - scale).abs()
    shift = uniform((n, 2), -1, 1, rng) * room[:, None]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    h = torch.zeros(n, 3, 3)
    h[:, 0, 0], h[:, 0, 1], h[:, 0, 2] = cos * stretch * flip, -sin, shift[:, 0]
    h[:, 1, 0], h[:, 1, 1], h[:, 1, 2] = sin * flip, cos / stretch, shift[:, 1]
    h[:, 2, :2] = uniform((n, 2), -0.15, 0.15, rng) * (uniform((n, 1), 0, 1, rng) < 0.5)
    h[:, 2, 2] = 1
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
    grid = (h @ points).view(n, 3, size, size)
    grid = (grid[:, :2] / grid[:, 2:]).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, "bilinear", padding, align_corners=False)


def backgrounds(photos: Tensor, n: int, size: int, rng: Generator) -> Tensor:
    """Return `n` backgrounds ``[n, 3, size, size]``: white, flat, gradient, noise or a photo.

    `photos` ``[P, 3, S, S]`` provides the last kind.
    """
    kind = uniform((n, 1, 1, 1), 0, 1, rng)
    flat, other = uniform((2, n, 3, 1, 1), 0, 1, rng).unbind()
    flat = torch.where(uniform((n, 1, 1, 1), 0, 1, rng) < 0.5, 0.7 + 0.3 * flat, flat)
    ramp = torch.linspace(0, 1, size).view(1, 1, size, 1)
    gradient = flat + (other - flat) * ramp
    cells = torch.rand(n, 3, 9, 9, generator=rng)
    noise = flat + 0.5 * (F.interpolate(cells, size=(size, size), mode="bilinear") - 0.5)
    pick = torch.randint(len(photos), (n,), generator=rng)
    scene = F.interpolate(photos[pick], size=(size, size), mode="bilinear")
    out = torch.where(kind < 0.4, torch.ones(()), flat.expand(-1, -1, size, size))
    out = torch.where(kind > 0.6, gradient.expand_as(out), out)
    out = torch.where(kind > 0.75, noise.clamp(0, 1), out)
    return torch.where(kind > 0.85, scene, out)


def compose(drawings: Tensor, ground: Tensor, rng: Generator) -> Tensor:
    """Warp premultiplied RGBA `drawings` ``[B, 4, S, S]`` onto `ground` ``[B, 3, s, s]``."""
    layer = warp(drawings, ground.shape[-1], rng, side=(0.7, 1.35), padding="zeros")
    return layer[:, :3] + (1 - layer[:, 3:]) * ground


def degrade(x: Tensor, rng: Generator) -> Tensor:
    """Jitter colour, erase, blur and add noise; ``[B, 3, H, W]`` in and out, in [0, 1]."""
    n, _, height, width = x.shape

    def some(p: float) -> Tensor:
        return uniform((n, 1, 1, 1), 0, 1, rng) < p

    gray = x.mean(1, keepdim=True)
    saturation = uniform((n, 1, 1, 1), 0.5, 1.4, rng) * ~some(0.1)
    x = gray + (x - gray) * saturation
    contrast = torch.where(some(0.12), 0.35, 1.0) * uniform((n, 1, 1, 1), 0.7, 1.3, rng)
    tint = uniform((n, 3, 1, 1), -0.06, 0.06, rng) + uniform((n, 1, 1, 1), -0.12, 0.12, rng)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (mean + (x - mean) * contrast + tint).clamp(0, 1)
    soft = uniform((n,), 0, 1, rng) < 0.25
    if soft.any():
        factor = 2 ** int(torch.randint(1, 3, (), generator=rng))
        small = F.avg_pool2d(x[soft], factor)
        x[soft] = F.interpolate(small, size=(height, width), mode="bilinear")
    box = torch.rand(n, 4, 1, 1, generator=rng)
    rows, columns = torch.arange(height).view(1, -1, 1), torch.arange(width).view(1, 1, -1)
    hole = (rows / height - box[:, 0]).abs() < 0.05 + 0.15 * box[:, 2]
    hole = hole & ((columns / width - box[:, 1]).abs() < 0.05 + 0.15 * box[:, 3])
    hole = hole[:, None] & some(0.25)
    x = torch.where(hole, uniform((n, 3, 1, 1), 0, 1, rng), x)
    sigma = uniform((n, 1, 1, 1), 0, 0.1, rng) * some(0.5)
    return (x + sigma * torch.randn(x.shape, generator=rng)).clamp(0, 1)
