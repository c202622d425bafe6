"""Pictures moved against a loss.

`attack` is one gradient step in L2 with a random start (Goodfellow et al. 2015, arXiv:1412.6572);
robust networks have gradients that people can read (Engstrom et al. 2019, arXiv:1906.00945).
`Fooling` goes on with pictures of nothing from step to step, as guidance does.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from guidance.train.clip.loader import Batch

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


FRESH = 0.1  # share of the pictures that start again in each step


class Fooling:
    """Pictures of nothing that are moved towards the captions they fit best, again and again.

    Guidance starts from strokes or noise and follows the gradient for hundreds of steps; what it
    finds there is far outside of what one attack reaches. So the attacked pictures are kept and
    attacked again when their turn comes: the replay of Du and Mordatch 2019, arXiv:1903.08689, for
    a contrastive loss. They match no caption, and a classifier that teaches says what it sees.

    Args:
        size: Pictures to keep; 0 leaves batches as they are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept = torch.zeros(0)
        self.rows: Tensor | None = None  # whose turn it is

    def mix(self, batch: Batch, rng: Generator) -> Batch:
        """Return `batch` with kept pictures in place of most of those without a caption."""
        n = len(batch.captions)
        count = len(batch.images) - n
        self.rows = None
        if not self.size or not count:
            return batch
        if len(self.kept) < self.size:
            return batch  # these are new ones
        device = batch.images.device
        self.rows = torch.randperm(len(self.kept), generator=rng, device=device)[:count]
        fresh = torch.rand(count, 1, 1, 1, generator=rng, device=device) < FRESH
        views = []
        for view in (batch.clean, batch.images):
            views.append(torch.cat([view[:n], torch.where(fresh, view[n:], self.kept[self.rows])]))
        return replace(batch, clean=views[0], images=views[1])

    def keep(self, moved: Tensor, batch: Batch) -> None:
        """Keep the attacked pictures `moved` ``[N, 3, H, W]`` that have no caption."""
        new = moved[len(batch.captions) : len(moved) - batch.sketches].detach()
        if self.rows is not None:
            self.kept[self.rows] = new
        elif self.size and len(new):
            self.kept = torch.cat([self.kept.to(new), new] if len(self.kept) else [new])
            self.kept = self.kept[: self.size]
