"""Cutouts one at a time, pixel by pixel: what `objective.cutouts` does, without its atlas."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.objective.cutouts import Cuts


def slow_cuts(images: Tensor, cuts: Cuts, size: int) -> Tensor:
    """Return ``[B·N, 3, size, size]``: each cut of each image by itself, all cuts of one first."""
    out = [slow_cut(image, cuts, i, size) for image in images for i in range(len(cuts))]
    return torch.stack(out)


def slow_cut(image: Tensor, cuts: Cuts, index: int, size: int) -> Tensor:
    """Return cut `index` of one image ``[3, H, W]``: warp, colour, noise, erase, clip."""
    out = _warp(image, cuts, index, size)
    matrix = cuts.changes.colours[index].to(out)
    out = torch.stack(
        [sum(matrix[d, c] * out[c] for c in range(3)) + matrix[d, 3] for d in range(3)]
    )
    seeded = torch.Generator().manual_seed(cuts.changes.seeds[index])
    out = out + cuts.changes.noise[index] * torch.randn(3, size, size, generator=seeded)
    left, top, right, bottom = cuts.changes.erase[index].tolist()
    for y in range(size):
        for x in range(size):
            if left <= (x + 0.5) / size < right and top <= (y + 0.5) / size < bottom:
                out[:, y, x] = cuts.changes.fill[index]
    return out.clamp(0, 1)


def _warp(image: Tensor, cuts: Cuts, index: int, size: int) -> Tensor:
    """Read each output pixel by inverse mapping, bilinearly, from the image shrunk for this cut."""
    height, width = image.shape[-2:]
    short = min(height, width)
    shrink = max(1.0, float(cuts.sides[index]) * short / size)
    level = math.floor(2 * math.log2(shrink) + 0.25)
    if level:
        shape = [max(1, round(side / 2 ** (level / 2))) for side in (height, width)]
        image = F.interpolate(
            image[None], shape, mode="bilinear", antialias=True, align_corners=False
        )[0]
    rows, columns = image.shape[-2:]
    matrix = cuts.homographies[index].double()
    pixels = []
    for j in range(size):
        for i in range(size):
            corner = torch.tensor([(2 * i + 1) / size - 1, (2 * j + 1) / size - 1, 1.0]).double()
            x, y, w = (matrix @ corner).tolist()
            w = max(w, 1e-3)
            u, v = x / w * short / width * columns, y / w * short / height * rows
            pixels.append(_bilinear(image, u - 0.5, v - 0.5))
    return torch.stack(pixels, -1).view(3, size, size)


def _bilinear(image: Tensor, x: float, y: float) -> Tensor:
    """Return the colour at pixel-centre coordinates; outside, the border continues."""
    rows, columns = image.shape[-2:]
    x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, columns - 1), min(y0 + 1, rows - 1)
    a, b = x - x0, y - y0
    top = image[:, y0, x0] * (1 - a) + image[:, y0, x1] * a
    bottom = image[:, y1, x0] * (1 - a) + image[:, y1, x1] * a
    return top * (1 - b) + bottom * b
