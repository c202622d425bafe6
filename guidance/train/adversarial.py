"""Pictures moved against a loss: one gradient step, in L2 with a random start.

Goodfellow et al. 2015, arXiv:1412.6572; robust networks have gradients that people can read
(Engstrom et al. 2019, arXiv:1906.00945).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

# Pixels that move together, by turns, and how much further they go: what is smooth is harder to
# mistake. Strokes cheat with colour, not with texture, so two of three steps work on blocks.
BLOCKS = ((1, 1.0), (4, 1.5), (8, 2.0))


def attack(images: Tensor, grad: Tensor, eps: float, step: int, rng: Generator) -> Tensor:
    """Move `images` ``[N, 3, H, W]`` by an L2 length of `eps` up the gradient.

    Args:
        images: In [0, 1].
        grad: Gradient of the loss, of the same shape.
        eps: Length, times the factor of the block size whose turn it is.
        step: Number of the step, for the turn.
        rng: Source of the random start, up to half as long.
    """
    noise = torch.randn(images.shape, generator=rng, device=rng.device)
    block, factor = BLOCKS[step % len(BLOCKS)]
    if block > 1:
        blocks = F.avg_pool2d(torch.stack([grad, noise]).flatten(0, 1), block, ceil_mode=True)
        size = images.shape[-2:]
        large = F.interpolate(blocks, scale_factor=block)[..., : size[0], : size[1]]
        grad, noise = large.view(2, *images.shape)
    length = torch.rand(len(images), 1, 1, 1, generator=rng, device=rng.device) * eps * factor / 2
    return (images + length * _unit(noise) + eps * factor * _unit(grad)).clamp(0, 1)


def _unit(x: Tensor) -> Tensor:
    return x / x.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
