"""Pixels under a logit-Laplace likelihood: a distribution on (0, 1) rather than on all numbers.

Ramesh et al. 2021, "Zero-Shot Text-to-Image Generation", arXiv:2102.12092, appendix A.3. A pixel's
logit has a Laplace distribution, whose middle μ and logarithm of the width b a decoder gives; of
absolute or squared errors (a Laplace or a normal distribution of the pixel itself) a part would lie
on values that no pixel has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.conventions import check_shape

EPSILON = 0.1  # how far pixels are kept from 0 and 1, where a logit is infinite


def squeeze(images: Tensor) -> Tensor:
    """Return images in [0, 1] brought into [ε, 1 - ε]."""
    return (1 - 2 * EPSILON) * images + EPSILON


def unsqueeze(pixels: Tensor) -> Tensor:
    """Return the images in [0, 1] of pixels in [ε, 1 - ε]; what lies outside is clamped."""
    return ((pixels - EPSILON) / (1 - 2 * EPSILON)).clamp(0, 1)


def log_likelihood(images: Tensor, told: Tensor) -> Tensor:
    """Return the logarithm of the density of each value of `images`, squeezed.

    ``log f(x | μ, b) = -|logit x - μ| / b - log(2 b x (1 - x))``.

    Args:
        images: ``[N, 3, H, W]`` in [0, 1].
        told: ``[N, 6, H, W]``: μ of the three channels, then log b of them.

    Returns:
        ``[N, 3, H, W]``, in nats.

    Raises:
        InputError: shapes that do not fit.
    """
    count, _, height, width = images.shape
    check_shape("told", told, [count, 6, height, width])
    middle, log_width = told.chunk(2, 1)
    x = squeeze(images)
    apart = (torch.logit(x) - middle).abs()
    return -apart * (-log_width).exp() - log_width - (2 * x * (1 - x)).log()


def expected(told: Tensor) -> Tensor:
    """Return the images in [0, 1] of the middles: ``[N, 6, H, W]`` → ``[N, 3, H, W]``."""
    return unsqueeze(told.chunk(2, 1)[0].sigmoid())
