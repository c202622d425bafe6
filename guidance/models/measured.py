"""Networks that embeddings condition, with the statistics of what goes into them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from guidance.errors import InputError


class Measured(nn.Module):
    """A network with mean and deviation of each of its inputs, which belong to its weights.

    Args:
        lengths: of each side, e.g. ``{"text": 384, "image": 384}``; a condition is made of these
            two.

    Attributes:
        text_mean, text_std, image_mean, image_std: ``[D]``; and so for every other side.
    """

    text_mean: Tensor
    text_std: Tensor
    image_mean: Tensor
    image_std: Tensor

    def __init__(self, lengths: Mapping[str, int]):
        super().__init__()
        for side, length in lengths.items():
            self.register_buffer(f"{side}_mean", torch.zeros(length))
            self.register_buffer(f"{side}_std", torch.ones(length))

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return len(self.text_mean)

    def measure(self, side: str, values: Tensor) -> None:
        """Take mean and deviation of ``values [N, C, ...]`` for a side."""
        flat = values.float().movedim(1, -1).flatten(0, -2)
        getattr(self, f"{side}_mean").copy_(flat.mean(0))
        getattr(self, f"{side}_std").copy_(flat.std(0).clamp(min=1e-4))

    def vector(self, texts: Tensor | None, images: Tensor | None) -> Tensor:
        """Return the condition ``[B, 2 D]`` of unit embeddings ``[B, D]``, either may be None."""
        given = texts if texts is not None else images
        if given is None:
            raise InputError("a condition needs embeddings of texts or of images")
        parts = []
        for side, rows in (("text", texts), ("image", images)):
            if rows is None:
                parts.append(torch.zeros_like(given))
            else:
                parts.append((rows - getattr(self, f"{side}_mean")) / getattr(self, f"{side}_std"))
        return torch.cat(parts, 1)
