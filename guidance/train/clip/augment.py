"""Augmentations, batched: pictures ``[B, 3 or 4, S, S]`` → crops ``[B, 3, s, s]`` in [0, 1].

`guided` follows the cutouts of the guidance loop, so that the model is sure of itself on the very
views it will be asked about. All randomness comes from the generator that is passed in, which
also says on which device the work is done.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from guidance.images.resize import resize


def uniform(shape: tuple[int, ...], low: float, high: float, rng: Generator) -> Tensor:
    """Return uniform numbers in [low, high] of `shape`."""
    return torch.rand(shape, generator=rng, device=rng.device) * (high - low) + low


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
    flip = torch.randint(0, 2, (n,), generator=rng, device=rng.device) * 2 - 1
    room = (1 - scale).abs()
    shift = uniform((n, 2), -1, 1, rng) * room[:, None]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    h = torch.zeros(n, 3, 3, device=rng.device)
    h[:, 0, 0], h[:, 0, 1], h[:, 0, 2] = cos * stretch * flip, -sin, shift[:, 0]
    h[:, 1, 0], h[:, 1, 1], h[:, 1, 2] = sin * flip, cos / stretch, shift[:, 1]
    h[:, 2, :2] = uniform((n, 2), -0.15, 0.15, rng) * (uniform((n, 1), 0, 1, rng) < 0.5)
    h[:, 2, 2] = 1
    axis = (torch.arange(size, device=rng.device) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
    grid = (h @ points).view(n, 3, size, size)
    grid = (grid[:, :2] / grid[:, 2:]).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, "bilinear", padding, align_corners=False)


def backgrounds(photos: Tensor, n: int, size: int, rng: Generator) -> Tensor:
    """Return `n` backgrounds ``[n, 3, size, size]``: white, flat, gradient, noise or a photo.

    `photos` ``[P, 3, S, S]`` provides the last kind; there may be none.
    """
    kind = uniform((n, 1, 1, 1), 0, 1, rng)
    flat, other = uniform((2, n, 3, 1, 1), 0, 1, rng).unbind()
    flat = torch.where(uniform((n, 1, 1, 1), 0, 1, rng) < 0.5, 0.7 + 0.3 * flat, flat)
    ramp = torch.linspace(0, 1, size, device=rng.device).view(1, 1, size, 1)
    gradient = flat + (other - flat) * ramp
    cells = uniform((n, 3, 9, 9), 0, 1, rng)
    noise = flat + 0.5 * (F.interpolate(cells, size=(size, size), mode="bilinear") - 0.5)
    out = torch.where(kind < 0.4, 1.0, flat.expand(-1, -1, size, size))
    out = torch.where(kind > 0.6, gradient.expand_as(out), out)
    out = torch.where(kind > 0.75, noise.clamp(0, 1), out)
    if not len(photos):
        return out
    pick = torch.randint(len(photos), (n,), generator=rng, device=rng.device)
    scene = F.interpolate(photos[pick], size=(size, size), mode="bilinear")
    return torch.where(kind > 0.85, scene, out)


def compose(drawings: Tensor, ground: Tensor, rng: Generator) -> Tensor:
    """Warp premultiplied RGBA `drawings` ``[B, 4, S, S]`` onto `ground` ``[B, 3, s, s]``."""
    layer = warp(drawings, ground.shape[-1], rng, side=(0.7, 1.35), padding="zeros")
    return layer[:, :3] + (1 - layer[:, 3:]) * ground


def degrade(x: Tensor, rng: Generator, colour: float = 1.0) -> Tensor:
    """Jitter colour, erase, blur and add noise; ``[B, 3, H, W]`` in and out, in [0, 1].

    `colour` scales what is done to colours.
    """
    n, _, height, width = x.shape

    def some(p: float) -> Tensor:
        return uniform((n, 1, 1, 1), 0, 1, rng) < p

    grey = x.mean(1, keepdim=True)
    strength = uniform((n, 1, 1, 1), -0.5, 0.4, rng)
    saturation = (1 + colour * strength) * ~some(0.1 * min(colour, 1.0))
    x = grey + (x - grey) * saturation
    contrast = torch.where(some(0.12), 0.35, 1.0) * uniform((n, 1, 1, 1), 0.7, 1.3, rng)
    tint = uniform((n, 3, 1, 1), -0.06, 0.06, rng) + uniform((n, 1, 1, 1), -0.12, 0.12, rng)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (mean + (x - mean) * contrast + colour * tint).clamp(0, 1)
    x = soften(x, rng)
    box = uniform((n, 4, 1, 1), 0, 1, rng)
    rows = torch.arange(height, device=rng.device).view(1, -1, 1)
    columns = torch.arange(width, device=rng.device).view(1, 1, -1)
    hole = (rows / height - box[:, 0]).abs() < 0.05 + 0.15 * box[:, 2]
    hole = hole & ((columns / width - box[:, 1]).abs() < 0.05 + 0.15 * box[:, 3])
    hole = hole[:, None] & some(0.25)
    x = torch.where(hole, uniform((n, 3, 1, 1), 0, 1, rng), x)
    sigma = uniform((n, 1, 1, 1), 0, 0.1, rng) * some(0.5)
    noise = torch.randn(x.shape, generator=rng, device=rng.device)
    return (x + sigma * noise).clamp(0, 1)


def soften(x: Tensor, rng: Generator, share: float = 0.25) -> Tensor:
    """Scale about a `share` of the pictures ``[B, C, H, W]`` down and up again.

    They come down to between 24 pixels and half their size, and back by bilinear or bicubic
    interpolation, as small pictures are enlarged.
    """
    n, _, height, width = x.shape
    chosen = uniform((n,), 0, 1, rng) < share
    if not chosen.any():
        return x
    low, high = math.log(min(24, height / 2)), math.log(height / 2)
    side = round(math.exp(float(uniform((), low, high, rng))))
    mode = "bicubic" if uniform((), 0, 1, rng) < 0.5 else "bilinear"
    small = F.interpolate(x[chosen], size=(side, side), mode="bilinear", antialias=True)
    large = resize(small, (height, width), mode=mode, antialias=False).clamp(0, 1)
    return x.index_copy(0, chosen.nonzero()[:, 0], large)


def guided(
    pictures: Tensor, clear: Tensor, size: int, rng: Generator, min_crop: float, colour: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Crop, and put drawings on backgrounds; then degrade.

    Args:
        pictures: Premultiplied RGBA ``[B, 4, S, S]`` in [0, 1].
        clear: Which of them are drawings with transparency, bool ``[B]``.
        size: Side of the crops, pixels.
        rng: Source of randomness.
        min_crop: Side of the smallest crop, as a fraction of the picture's.
        colour: How much colours are changed.

    Returns:
        The crops as they are and degraded, both ``[B, 3, size, size]`` in [0, 1].
    """
    crops = torch.empty(len(pictures), 3, size, size, device=pictures.device)
    photos = pictures[~clear, :3]
    if len(photos):
        crops[~clear] = warp(photos, size, rng, (min_crop, 1.0))
    if clear.any():
        ground = backgrounds(photos, int(clear.sum()), size, rng)
        crops[clear] = compose(pictures[clear], ground, rng)
    crops = crops.clamp(0, 1)
    return crops, degrade(crops, rng, colour)


def cropped(
    pictures: Tensor, clear: Tensor, size: int, rng: Generator, min_crop: float, colour: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Random resized crops and flips, drawings on white; arguments and result as for `guided`."""
    n = len(pictures)
    x = pictures[:, :3] + (1 - pictures[:, 3:])
    scale = uniform((n,), min_crop, 1.0, rng)
    flip = torch.randint(0, 2, (n,), generator=rng, device=rng.device) * 2 - 1
    theta = torch.zeros(n, 2, 3, device=rng.device)
    theta[:, 0, 0], theta[:, 1, 1] = scale * flip, scale
    theta[:, :, 2] = uniform((n, 2), -1, 1, rng) * (1 - scale)[:, None]
    grid = F.affine_grid(theta, [n, 3, size, size], align_corners=False)
    x = F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False).clamp(0, 1)
    return x, x


def whole(
    pictures: Tensor, clear: Tensor, size: int, rng: Generator, min_crop: float, colour: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The whole pictures, drawings on white; arguments and result as for `guided`."""
    x = pictures[:, :3] + (1 - pictures[:, 3:])
    x = F.interpolate(x, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    return x, x


AUGMENTATIONS = {"guidance": guided, "crop": cropped, "none": whole}
