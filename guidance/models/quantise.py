"""Codebook quantisation in functional form: nearest codes, Gumbel codes, gradient-aware clamps.

VQGAN (Esser, Rombach and Ommer 2021, arXiv:2012.09841, section 3.1) replaces each cell of a latent
grid by the nearest row of its codebook; the gradient goes through as if nothing had happened
(Bengio et al. 2013, arXiv:1308.3432; van den Oord et al. 2017, arXiv:1711.00937, section 3.2).
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch
from torch import Tensor

from guidance.conventions import check_range, check_shape
from guidance.errors import InputError

# distances in memory at once: 16 MB in float32 also stay within the cache of most processors
MAX_DISTANCES = 2**22


def nearest_codes(rows: Tensor, codebook: Tensor, *, max_distances: int = MAX_DISTANCES) -> Tensor:
    """Return the index of the nearest code of each row, by squared distance.

    ``argmin |z − e|² = argmin |e|² − 2 z·e``: one matrix product, no ``[N, K, C]`` differences.

    Args:
        rows: ``[N, C]``.
        codebook: ``[K, C]``.
        max_distances: at most about so many of the N · K distances are in memory at once.

    Returns:
        int64 ``[N]``; for equal distances any of the codes.

    Raises:
        InputError: shapes that do not fit.
    """
    check_shape("codebook", codebook, ["K", "C"])
    check_shape("rows", rows, ["N", codebook.shape[1]])
    if len(codebook) == 0:
        raise InputError("codebook must have at least one code but has none")
    with torch.no_grad(), _exact_products():
        codes = codebook.to(rows)
        lengths = codes.pow(2).sum(1)
        step = max(1, max_distances // len(codes))
        found = [
            # `argmin` takes several times as long on a CPU
            torch.addmm(lengths, part, codes.T, alpha=-2).min(dim=1).indices
            for part in rows.detach().split(step)
        ]
    return torch.cat(found)


def quantise(z: Tensor, codebook: Tensor) -> Tensor:
    """Return the nearest code of every cell; the gradient passes to `z` unchanged.

    Args:
        z: ``[B, C, h, w]``.
        codebook: ``[K, C]``; gets no gradient.

    Returns:
        ``[B, C, h, w]`` of rows of `codebook`, exactly.

    Raises:
        InputError: shapes that do not fit.
    """
    rows = _rows(z, codebook)
    codes = codebook.detach().to(z)[nearest_codes(rows, codebook)]
    return straight_through(_grid(codes, z), z)


def straight_through(value: Tensor, z: Tensor) -> Tensor:
    """Return `value`, with the gradient of `z`; both of one shape.

    Unlike ``z + (value - z).detach()`` the forward value is exact, without rounding.
    """
    if value.shape != z.shape:
        raise InputError(f"value must have shape {list(z.shape)} but has {list(value.shape)}")
    return _Replace.apply(value, z)


def gumbel_codes(
    z: Tensor,
    codebook: Tensor,
    *,
    temperature: float,
    generator: torch.Generator,
    unit: float = 1.0,
    hard: bool = True,
) -> Tensor:
    """Return random codes of every cell, the nearer the likelier, with a gradient through all.

    A code at squared distance d has the probability ``softmax(-d / unit)``; it is drawn by the
    Gumbel-softmax trick (Jang, Gu and Poole 2017, arXiv:1611.01144; Maddison et al. 2017,
    arXiv:1611.00712).

    Args:
        z: ``[B, C, h, w]``.
        codebook: ``[K, C]``; gets no gradient.
        temperature: of the softmax, above 0; near 0 it is almost one code, large an average.
        generator: source of the noise, on the CPU, so that every device draws the same.
        unit: squared distance that counts as 1.
        hard: forward one code exactly and backward the gradient of the soft mixture; otherwise
            the mixture in both directions.

    Returns:
        ``[B, C, h, w]``.

    Raises:
        InputError: shapes that do not fit, or numbers out of range.
    """
    check_range("temperature", temperature, 0, above=True)
    check_range("unit", unit, 0, above=True)
    rows, codes = _rows(z, codebook), codebook.detach().to(z)
    with _exact_products():
        distances = torch.addmm(codes.pow(2).sum(1), rows, codes.T, alpha=-2)
    distances = distances + rows.pow(2).sum(1, keepdim=True)
    noise = torch.empty(distances.shape, dtype=torch.float64)
    noise = -noise.exponential_(generator=generator).log()
    logits = (noise.to(distances) - distances / unit) / temperature
    mixture = logits.softmax(dim=1) @ codes
    if hard:
        mixture = straight_through(codes[logits.argmax(dim=1)], mixture)
    return _grid(mixture, z)


def code_range(codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value of each channel of a codebook ``[K, C]``: two [C].

    VQGAN-CLIP keeps its latents in this range after every update (Crowson et al. 2022,
    arXiv:2204.08583).
    """
    check_shape("codebook", codebook, ["K", "C"])
    return codebook.amin(dim=0), codebook.amax(dim=0)


def clamp_channels(z: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return `z` ``[B, C, h, w]`` with channel c kept in ``[low[c], high[c]]``."""
    check_shape("z", z, ["B", "C", "h", "w"])
    check_shape("low", low, [z.shape[1]])
    check_shape("high", high, [z.shape[1]])
    return z.clamp(low.to(z).view(-1, 1, 1), high.to(z).view(-1, 1, 1))


def clamp_inward(x: Tensor, low: float, high: float) -> Tensor:
    """Return `x` in [`low`, `high`], with a gradient that can bring it back.

    Where `x` is out of range the gradient passes only if a step against it moves `x` inward, and
    is 0 otherwise; inside it passes unchanged. (`torch.clamp` passes nothing outside, so a
    saturated pixel could never recover.) As in VQGAN-CLIP (Crowson et al. 2022, arXiv:2204.08583).

    Raises:
        InputError: `low` is above `high`.
    """
    check_range("low", low, high=high)
    return _ClampInward.apply(x, low, high)


class _Replace(torch.autograd.Function):
    """Forward the first argument, backward to the second one."""

    @staticmethod
    def forward(ctx, value, z):
        return value.view_as(value)

    @staticmethod
    def backward(ctx, *gradients):
        return None, *gradients


class _ClampInward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, low, high):
        ctx.save_for_backward(x)
        ctx.limits = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, *gradients):
        (gradient,) = gradients
        (x,) = ctx.saved_tensors
        low, high = ctx.limits
        stuck = ((x > high) & (gradient < 0)) | ((x < low) & (gradient > 0))
        return gradient.masked_fill(stuck, 0), None, None


@contextlib.contextmanager
def _exact_products() -> Generator[None]:
    """Compute matrix products in full float32.

    Codes lie close together: with rounded products (`loop.fast_matmul`) the code that is scored
    would not always be the code that is saved.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _rows(z: Tensor, codebook: Tensor) -> Tensor:
    """Return the cells of ``[B, C, h, w]`` as rows ``[B·h·w, C]``."""
    check_shape("codebook", codebook, ["K", "C"])
    check_shape("z", z, ["B", codebook.shape[1], "h", "w"])
    return z.movedim(1, -1).flatten(0, 2)


def _grid(rows: Tensor, like: Tensor) -> Tensor:
    """Return rows ``[B·h·w, C]`` as ``[B, C, h, w]`` of the shape of `like`."""
    batch, channels, height, width = like.shape
    return rows.view(batch, height, width, channels).movedim(-1, 1)
