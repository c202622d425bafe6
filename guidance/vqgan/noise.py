"""Pictures to start from: random pixels, colour gradients and fractal noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from guidance.conventions import check_count
from guidance.errors import InputError, unknown

NOISES = ("pixels", "gradient", "perlin")


def noise_image(kind: str, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return a random picture ``[1, 3, height, width]`` in [0, 1].

    Args:
        kind: "pixels", "gradient" or "perlin".
        generator: on the CPU.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in NOISES:
        raise InputError(unknown("noise", kind, NOISES))
    make = {"pixels": pixels, "gradient": gradient, "perlin": perlin}[kind]
    return make(height, width, generator)


def pixels(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return independent uniform pixels ``[1, 3, height, width]``."""
    return torch.rand(1, 3, height, width, generator=generator)


def gradient(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return linear ramps ``[1, 3, height, width]``, one a colour channel.

    Each runs in a random direction from one random level at one end of the picture to another one
    at the other end.
    """
    y, x = _pixel_centres(height, width)
    angle = torch.rand(3, 1, 1, generator=generator) * 2 * math.pi
    levels = torch.rand(2, 3, 1, 1, generator=generator)
    along = (x - 0.5) * angle.cos() + (y - 0.5) * angle.sin()
    reach = (angle.cos().abs() + angle.sin().abs()) / 2  # of the corners
    return torch.lerp(levels[0], levels[1], along / (2 * reach) + 0.5).clamp(0, 1)[None]


def perlin(
    height: int, width: int, generator: torch.Generator, *, cells: int = 3, octaves: int = 5
) -> Tensor:
    """Return fractal gradient noise ``[1, 3, height, width]``, independent a colour channel.

    Perlin 2002, "Improving Noise" (doi:10.1145/566654.566636), summed over octaves of half the
    amplitude and twice the frequency, with mean 1/2 and standard deviation 1/5, clipped.

    Args:
        cells: of the first octave along the shorter side.
        octaves: at most; those with cells of less than two pixels are left out.
    """
    check_count("cells", cells, 1)
    check_count("octaves", octaves, 1)
    short = min(height, width)
    total = torch.zeros(3, height, width)
    for octave in range(octaves):
        frequency = cells * 2**octave
        if octave and short < 2 * frequency:
            break
        total += gradient_noise(height, width, frequency / short, generator) * 0.5**octave
    total -= total.mean(dim=(-2, -1), keepdim=True)
    spread = total.std(dim=(-2, -1), keepdim=True, correction=0).clamp(min=1e-6)
    return (0.5 + 0.2 * total / spread).clamp(0, 1)[None]


def gradient_noise(height: int, width: int, frequency: float, generator: torch.Generator) -> Tensor:
    """Return one octave of gradient noise ``[3, height, width]``, in about [-0.7, 0.7].

    Args:
        frequency: lattice cells a pixel; the noise is 0 on the lattice, at the picture's corner
            and every 1 / `frequency` pixels from it.
    """
    rows = (torch.arange(height) + 0.5) * frequency
    columns = (torch.arange(width) + 0.5) * frequency
    top, left = rows.floor().long(), columns.floor().long()
    angle = torch.rand(3, int(top[-1]) + 2, int(left[-1]) + 2, generator=generator) * 2 * math.pi
    slopes = torch.stack([angle.cos(), angle.sin()])  # x, y
    y, x = (rows - top)[:, None], (columns - left)[None]
    corners = {}
    for down in (0, 1):
        for across in (0, 1):
            slope = slopes[:, :, (top + down)[:, None], (left + across)[None]]
            corners[down, across] = slope[0] * (x - across) + slope[1] * (y - down)
    upper = torch.lerp(corners[0, 0], corners[0, 1], _fade(x))
    lower = torch.lerp(corners[1, 0], corners[1, 1], _fade(x))
    return torch.lerp(upper, lower, _fade(y))


def _fade(t: Tensor) -> Tensor:
    """Return Perlin's quintic, flat to the second order at 0 and 1."""
    return t**3 * (t * (6 * t - 15) + 10)


def _pixel_centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    return y[:, None], x[None]
