"""A codebook that learns by moving averages: vectors → nearest codes, and codes → their means.

Van den Oord et al. 2017, "Neural Discrete Representation Learning", arXiv:1711.00937, appendix A.1;
codes that fall out of use are put where vectors are, as in Dhariwal et al. 2020, "Jukebox",
arXiv:2005.00341, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from guidance.models.quantise import nearest_codes


class Codebook(nn.Module):
    """`size` codes of `dim` numbers.

    Args:
        size: number of codes, K.
        dim: length of a code, C.
        decay: of the moving averages, for each update.
        idle: a code whose average number of vectors an update is below this is moved.
    """

    def __init__(self, size: int, dim: int, decay: float = 0.99, idle: float = 0.01):
        super().__init__()
        self.decay, self.idle = decay, idle
        self.register_buffer("codes", torch.zeros(size, dim))
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, dim))

    @property
    def started(self) -> bool:
        """Whether the codes hold anything yet."""
        return bool(self.counts.sum() > 0)

    def start(self, vectors: Tensor, rng: Generator) -> None:
        """Begin with a random choice of `vectors` ``[N, C]``, with a little noise."""
        self.codes.copy_(self._picked(vectors, len(self.codes), rng))
        self.counts.fill_(1.0)
        self.sums.copy_(self.codes)

    def forward(self, z: Tensor) -> Tensor:
        """Return the number of the nearest code for each place of `z` ``[N, C, h, w]``."""
        flat = z.movedim(1, -1).reshape(-1, z.shape[1])
        return nearest_codes(flat, self.codes).view(len(z), *z.shape[2:])

    def look_up(self, numbers: Tensor) -> Tensor:
        """Return the codes ``[N, C, h, w]`` of `numbers` ``[N, h, w]``."""
        return self.codes[numbers].movedim(-1, 1)

    @torch.no_grad()
    def update(self, vectors: Tensor, numbers: Tensor, rng: Generator) -> int:
        """Move the codes towards the mean of the `vectors` ``[N, C]`` that chose them.

        Args:
            vectors: float32.
            numbers: the code that each has chosen, ``[N]``.
            rng: chooses where idle codes go.

        Returns:
            The number of idle codes that were moved.
        """
        size = len(self.codes)
        counts = torch.bincount(numbers, minlength=size).to(vectors)
        sums = torch.zeros_like(self.sums).index_add_(0, numbers, vectors)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        idle = self.counts < self.idle
        if moved := int(idle.sum()):
            # a count well above the limit gives the code time to find its vectors
            self.counts[idle] = 10 * self.idle
            self.sums[idle] = 10 * self.idle * self._picked(vectors, moved, rng)
        self.codes.copy_(self.sums / self.counts[:, None])
        return moved

    @staticmethod
    def _picked(vectors: Tensor, count: int, rng: Generator) -> Tensor:
        rows = torch.randint(len(vectors), (count,), generator=rng, device=rng.device)
        spread = vectors.std(0, unbiased=False) * 0.02
        noise = torch.randn(count, vectors.shape[1], generator=rng, device=rng.device)
        return vectors[rows] + spread * noise


def perplexity(numbers: Tensor, size: int) -> float:
    """Return how many of `size` codes are in use: the exponential of the entropy of `numbers`."""
    shares = torch.bincount(numbers.flatten(), minlength=size).double()
    shares = shares / shares.sum()
    return float((-(shares * shares.clamp_min(1e-12).log()).sum()).exp())
