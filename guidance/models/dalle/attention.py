"""What the positions of a sentence of codes see, and the attention that keeps to it.

Ramesh et al. 2021, "Zero-Shot Text-to-Image Generation" (arXiv:2102.12092), appendix B.1 and figure
11: a position of the text sees the text before it, one of the picture all of the text and of the
picture before it what its layer is for. Positions see themselves. Of the picture, in raster order:

full             everything before
row              as many codes before as a row has, the last of which is right above
column           what is above in the same column
convolutional    the upper half of a square around it, before it; beyond the left and right border
                 the square goes on in the next row, as in the paper
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.errors import InputError, unknown
from guidance.models.dalle.config import KINDS, DalleConfig


def picture_mask(kind: str, rows: int, columns: int, kernel: int = 11) -> Tensor:
    """Return which codes see which: bool ``[P, P]`` with P = rows · columns, True where p sees q.

    Args:
        kind: of `KINDS`.
        kernel: side of the square of convolutional attention, odd.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in KINDS:
        raise InputError(unknown("attention", kind, KINDS))
    place = torch.arange(rows * columns)
    behind = place[:, None] - place  # how far q lies before p
    seen = behind >= 0
    if kind == "row":
        seen &= behind <= columns
    elif kind == "column":
        seen &= behind % columns == 0
    elif kind == "convolutional":
        half = kernel // 2
        up = torch.arange(half + 1)[:, None] * columns
        offsets = (up + torch.arange(-half, half + 1)).flatten()
        seen &= torch.isin(behind, offsets)
    return seen


def sentence_mask(config: DalleConfig, kind: str) -> Tensor:
    """Return which positions of a sentence see which, bool ``[T + P, T + P]``; T come before."""
    count = config.told + config.positions
    seen = torch.ones(count, count, dtype=torch.bool).tril()
    picture = picture_mask(kind, config.rows, config.columns, config.kernel)
    seen[config.told :, config.told :] = picture
    return seen


class Memory:
    """Keys and values of the positions so far, of one layer.

    Args:
        keys, values: ``[N, heads, S, width of a head]``, room for S positions.
    """

    def __init__(self, keys: Tensor, values: Tensor):
        self.keys, self.values, self.length = keys, values, 0

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in positions ``[N, heads, L, …]`` and return those of all so far."""
        first, self.length = self.length, self.length + keys.shape[2]
        self.keys[:, :, first : self.length] = keys
        self.values[:, :, first : self.length] = values
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows, in this order."""
        self.keys, self.values = self.keys[rows], self.values[rows]


class Attention(nn.Module):
    """Attention of several heads that keeps to a mask.

    Args:
        config: of the transformer.
        kind: of `KINDS`.
    """

    def __init__(self, config: DalleConfig, kind: str):
        super().__init__()
        self.heads = config.heads
        self.inward = nn.Linear(config.width, 3 * config.width)
        self.outward = nn.Linear(config.width, config.width)
        mask = None if kind == "full" else sentence_mask(config, kind)
        self.register_buffer("mask", mask, persistent=False)
        # what each position sees, for those that come one at a time
        self._seen = None if mask is None else [row.nonzero().flatten() for row in mask]

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Return what positions ``[N, L, width]`` take from those they see.

        Args:
            memory: of the positions before; these are added. Without it they are the first ones.
        """
        count, length, width = x.shape
        parts = self.inward(x).view(count, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        if memory is not None:
            k, v = memory.add(k, v)
        total = k.shape[2]
        if length == 1 and total > 1:
            if self._seen is not None:
                rows = self._seen[total - 1].to(k.device)
                k, v = k[:, :, rows], v[:, :, rows]
            made = F.scaled_dot_product_attention(q, k, v)
        elif self._seen is None and length == total:
            made = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            made = F.scaled_dot_product_attention(q, k, v, self._rows(total, length))
        return self.outward(made.transpose(1, 2).reshape(count, length, width))

    def _rows(self, total: int, length: int) -> Tensor:
        """Return what the last `length` of `total` positions see, bool ``[length, total]``."""
        if isinstance(self.mask, Tensor):
            return self.mask[total - length : total, :total]
        device = self.inward.weight.device
        whole = torch.ones(length, total, dtype=torch.bool, device=device)
        return whole.tril(total - length)
