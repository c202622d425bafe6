"""A picture seen through a move of the camera: sampled anew, reflected beyond its border."""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.conventions import check_images


def moved(image: Tensor, a: complex, b: complex) -> Tensor:
    """Return `image` ``[B, 3, H, W]`` in [0, 1] with each point z moved to ``a·z + b``.

    Points are complex numbers from the middle, x right and y down, in longer sides.
    """
    check_images("image", image)
    if (a, b) == (1, 0):
        return image
    height, width = image.shape[-2:]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    b = b * max(height, width)
    y = torch.arange(height, dtype=torch.float64)[:, None] - middle_y - b.imag
    x = torch.arange(width, dtype=torch.float64)[None, :] - middle_x - b.real
    inverse = 1 / a  # a pixel of the result comes from (z - b) / a
    source_y = inverse.imag * x + inverse.real * y + middle_y
    source_x = inverse.real * x - inverse.imag * y + middle_x
    return sample(image, source_y, source_x).clamp(0, 1)


def sample(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return `image` ``[B, C, H, W]`` at points, reflected beyond its border, ``[B, C, h, w]``.

    The interpolation is the cubic convolution of Keys 1981 ("Cubic convolution interpolation for
    digital image processing", equation 15, a = -1/2), which keeps slopes. That of `grid_sample`
    has a = -3/4: it shifts slopes to and fro, which a video would show as a tremble.

    Args:
        y, x: ``[h, w]`` float64, pixels from the centre of the first one.
    """
    rows, columns = ((p.floor(), p - p.floor()) for p in (y, x))
    result = torch.zeros_like(image[:, :, :1, :1])
    for down, weight_y in zip(range(-1, 3), _keys(rows[1]), strict=True):
        row = _reflect(rows[0] + down, image.shape[-2]).to(image.device)
        for across, weight_x in zip(range(-1, 3), _keys(columns[1]), strict=True):
            column = _reflect(columns[0] + across, image.shape[-1]).to(image.device)
            weight = (weight_y * weight_x).to(image.dtype).to(image.device)
            result = result + weight * image[:, :, row, column]
    return result


def _keys(t: Tensor) -> tuple[Tensor, ...]:
    """Return the weights of the pixels at -1, 0, 1 and 2 for points `t` in [0, 1)."""
    return (
        ((1 - t / 2) * t - 0.5) * t,
        (1.5 * t - 2.5) * t.square() + 1,
        ((2 - 1.5 * t) * t + 0.5) * t,
        (t - 1) * t.square() / 2,
    )


def _reflect(index: Tensor, length: int) -> Tensor:
    """Return pixel numbers folded into 0 … length - 1, the outermost ones doubled."""
    index = index.long() % (2 * length)
    return torch.minimum(index, 2 * length - 1 - index)
