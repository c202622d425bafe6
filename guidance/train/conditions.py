"""Which conditions of a training are shown: those of the text, of the picture, both, or none."""

from __future__ import annotations

import torch
from torch import Tensor


def shown(kinds: Tensor, drop: float, single: float) -> Tensor:
    """Return which halves are shown ``[N, 2]``, of the text and of the picture, from chance.

    Args:
        kinds: uniform random numbers ``[N]``.
        drop: share shown without a condition.
        single: share shown with one of the two alone, half of it with either.
    """
    half = drop + single / 2
    texts = (kinds >= drop) & ~((kinds >= half) & (kinds < drop + single))
    return torch.stack([texts, kinds >= half], 1)


def doubt(images: Tensor, spread: Tensor, blur: float, generator: torch.Generator) -> Tensor:
    """Return noise for image embeddings ``[N, D]``, of another strength for each.

    Args:
        spread: deviation of the embeddings ``[D]``.
        blur: greatest strength, in deviations.
    """
    strength = blur * torch.rand(len(images), 1, generator=generator)
    return strength * torch.randn(images.shape, generator=generator) * spread
