"""Standard scores and correlations of two lists of numbers, ``[N]`` → ``[N]`` or a number.

All in float64; what has no spread has standard scores of 0 and correlates with nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from guidance.errors import InputError

Numbers = Sequence[float] | Tensor


def standardised(values: Numbers) -> Tensor:
    """Return how many standard deviations each value ``[N]`` lies above the mean of all."""
    values = _vector(values)
    spread = values.std(correction=0)
    # rounding alone leaves a spread of about 1e-16 of the size in equal values
    if not spread > 1e-12 * values.abs().max().clamp(min=1e-300):
        return torch.zeros_like(values)
    return (values - values.mean()) / spread


def pearson(first: Numbers, second: Numbers) -> float:
    """Return the linear correlation, -1 to 1; NaN if one of both has no spread."""
    a, b = standardised(first), standardised(second)
    _check_pair(a, b)
    if not a.any() or not b.any():
        return math.nan
    return float((a * b).mean().clamp(-1, 1))


def spearman(first: Numbers, second: Numbers) -> float:
    """Return the correlation of the ranks, -1 to 1; NaN if one of both has no spread.

    Spearman, "The proof and measurement of association between two things", 1904; equal values
    share the mean of their ranks.
    """
    return pearson(ranks(first), ranks(second))


def ranks(values: Numbers) -> Tensor:
    """Return the place of each value ``[N]`` from 1, the smallest; equal ones share their mean."""
    values = _vector(values)
    _, group, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts.double() - 1) / 2)[group]


def _vector(values: Numbers) -> Tensor:
    values = torch.as_tensor(values, device="cpu").double()  # not every device has float64
    if values.ndim != 1 or not len(values):
        raise InputError(f"values must have shape [N] but have {list(values.shape)}")
    return values


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise InputError(f"both must be as long but have {len(a)} and {len(b)} values")
