"""Quantisation one cell and one code at a time: what `guidance.models.quantise` does."""

import math

import torch
from torch import Tensor


def slow_nearest(rows: Tensor, codebook: Tensor) -> list[int]:
    """Return the index of the nearest code of each row by the sum of squared differences."""
    return [min(range(len(codebook)), key=lambda k: distance(row, codebook[k])) for row in rows]


def distance(a: Tensor, b: Tensor) -> float:
    """Return the squared distance of two vectors, added up number by number."""
    return sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True))


def slow_quantise(z: Tensor, codebook: Tensor) -> Tensor:
    """Return ``[B, C, h, w]`` with each cell replaced by its nearest code."""
    out = torch.empty_like(z)
    for b in range(z.shape[0]):
        for y in range(z.shape[2]):
            for x in range(z.shape[3]):
                cell = z[b, :, y, x].detach()
                out[b, :, y, x] = codebook[slow_nearest(cell[None], codebook)[0]]
    return out


def slow_gumbel(z: Tensor, codebook: Tensor, temperature: float, unit: float, noise: Tensor):
    """Return (drawn codes, mixture), each ``[B, C, h, w]``, from Gumbel noise ``[cells, K]``.

    Everything is differentiable, so that gradients can be compared.
    """
    drawn, mixed = torch.empty_like(z), torch.empty_like(z)
    row = 0
    for b in range(z.shape[0]):
        for y in range(z.shape[2]):
            for x in range(z.shape[3]):
                scores = [
                    (noise[row, k] - ((z[b, :, y, x] - code) ** 2).sum() / unit) / temperature
                    for k, code in enumerate(codebook)
                ]
                top = max(float(s.detach()) for s in scores)
                shares = [(s - top).exp() for s in scores]
                total = sum(shares)
                pairs = zip(shares, codebook, strict=True)
                mixed[b, :, y, x] = sum(share / total * code for share, code in pairs)
                best = max(range(len(scores)), key=lambda k: float(scores[k].detach()))
                drawn[b, :, y, x] = codebook[best]
                row += 1
    return drawn, mixed


def gumbel_noise(cells: int, codes: int, generator: torch.Generator) -> Tensor:
    """Return standard Gumbel noise ``[cells, codes]``, float64."""
    exponential = torch.empty(cells, codes, dtype=torch.float64).exponential_(generator=generator)
    noise = [[-math.log(e) for e in row] for row in exponential.tolist()]
    return torch.tensor(noise, dtype=torch.float64)


def slow_clamp_gradient(x: float, gradient: float, low: float, high: float) -> float:
    """Return the gradient that goes through: none where a step against it leads further out."""
    after = x - 1e-3 * gradient
    if x > high:
        return gradient if after <= x else 0.0
    if x < low:
        return gradient if after >= x else 0.0
    return gradient
