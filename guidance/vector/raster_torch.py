"""The rasteriser in plain PyTorch: runs on any device, and the fallback where numba is missing."""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.vector.coverage_torch import Fragments, fill_fragments, stroke_fragments
from guidance.vector.flatten import flatten
from guidance.vector.scene import Scene


def draw(scene: Scene, colors: Tensor, behind: Tensor, height: int, width: int) -> Tensor:
    """Return `scene` in the given `colors` [S, 4] over `behind` [1, 3, 1 or H, 1 or W]."""
    outline, closed = flatten(scene, height, width), scene.closed
    parts = []
    if not bool(closed.all()):
        parts.append(stroke_fragments(outline, closed, height, width))
    if bool(closed.any()):
        parts.append(fill_fragments(outline, closed, height, width))
    fragments = Fragments.cat(parts)
    order = torch.argsort(fragments.pixel * len(closed) + fragments.shape)
    shape, pixel = fragments.shape[order], fragments.pixel[order]
    paint = colors.index_select(0, shape)
    alpha = paint[:, 3] * fragments.coverage.index_select(0, order)
    layer = _Composite.apply(paint[:, :3], alpha, pixel, height * width).reshape(4, height, width)
    return layer[None, :3] + layer[3] * behind


class _Composite(torch.autograd.Function):
    """Source-over compositing of fragments sorted by pixel, then from bottom to top.

    Scans multiply and add only, never divide or take logarithms, so that opaque fragments
    (alpha = 1) are exact in value and gradient.
    """

    @staticmethod
    def forward(ctx, rgb: Tensor, alpha: Tensor, pixel: Tensor, pixels: int) -> Tensor:
        """Return ``[4, pixels]``, premultiplied RGB and the share of the background that shows.

        The fragments have colour `rgb` [F, 3] and `alpha` [F].
        """
        rank, depth = _ranks(pixel)
        left = _tail_ranks(rank, pixel)
        above = _exclusive_product((1 - alpha).flip(0), left.flip(0), depth).flip(0)
        weight = above * alpha
        out = rgb.new_zeros(pixels, 4)
        out[:, :3].index_add_(0, pixel, weight[:, None] * rgb)
        bottom = torch.nonzero(rank == 0).squeeze(1)
        out[:, 3] = 1
        out[pixel[bottom], 3] = above[bottom] * (1 - alpha[bottom])
        ctx.save_for_backward(rgb, alpha, pixel, rank, above)
        ctx.depth = depth
        return out.T.contiguous()

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        rgb, alpha, pixel, rank, above = ctx.saved_tensors
        grad = gradients[0].T.contiguous().index_select(0, pixel)  # [F, 4]
        gain = (grad[:, :3] * rgb).sum(1)
        # What is seen of everything below a fragment, were nothing above it.
        below = _exclusive_affine(1 - alpha, alpha * gain, grad[:, 3], rank, ctx.depth)
        return (above * alpha)[:, None] * grad[:, :3], above * (gain - below), None, None


def _ranks(pixel: Tensor) -> tuple[Tensor, int]:
    """Return the place of each fragment in its pixel, 0 at the bottom, and the largest number."""
    if len(pixel) == 0:
        return pixel, 0
    index = torch.arange(len(pixel), device=pixel.device)
    starts = torch.where(torch.cat([pixel.new_ones(1), pixel.diff()]) != 0, index, 0)
    rank = index - starts.cummax(0).values
    return rank, int(rank.max()) + 1


def _tail_ranks(rank: Tensor, pixel: Tensor) -> Tensor:
    """Return how many fragments lie above each one in its pixel."""
    _, group, counts = torch.unique_consecutive(pixel, return_inverse=True, return_counts=True)
    return counts[group] - 1 - rank


def _exclusive_product(factor: Tensor, rank: Tensor, depth: int) -> Tensor:
    """Return for each item the product of those before it in its group (Hillis-Steele scan)."""
    product = torch.where(rank == 0, 1.0, factor.roll(1))
    step = 1
    while step < depth:
        product = torch.where(rank >= step, product * product.roll(step), product)
        step *= 2
    return product


def _exclusive_affine(m: Tensor, c: Tensor, first: Tensor, rank: Tensor, depth: int) -> Tensor:
    """Return ``v`` before each item; ``v`` is `first` at rank 0 and each item does v → m v + c."""
    m = torch.where(rank == 0, 0.0, m.roll(1))
    c = torch.where(rank == 0, first, c.roll(1))
    step = 1
    while step < depth:
        reaches = rank >= step
        c = torch.where(reaches, m * c.roll(step) + c, c)
        m = torch.where(reaches, m * m.roll(step), m)
        step *= 2
    return c
