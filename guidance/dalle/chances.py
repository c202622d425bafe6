"""Logits → how likely each code is to be drawn, and the draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.conventions import check_range, check_shape


@dataclass(frozen=True)
class Chances:
    """How codes are drawn, in this order.

    Attributes:
        temperature: divides the logits; 0 takes the likeliest code, 1 what the model says.
        top_k: only so many of the likeliest codes are left; 0 leaves all. Equal ones stay together.
        top_p: only the likeliest codes are left that together have this share (Holtzman et al.
            2020, "The Curious Case of Neural Text Degeneration", arXiv:1904.09751, section 3.1).

    Raises:
        InputError: a value is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        check_range("temperature", self.temperature, 0, 100)
        check_range("top_k", self.top_k, 0)
        check_range("top_p", self.top_p, 0, 1, above=True)

    def of(self, logits: Tensor) -> Tensor:
        """Return the chance of each code, float64 ``[N, codes]`` with rows of sum 1.

        Args:
            logits: ``[N, codes]``.
        """
        check_shape("logits", logits, ["N", "codes"])
        logits = logits.double()
        if self.temperature == 0:
            return torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), 1.0)
        logits = (logits - logits.amax(1, keepdim=True)) / self.temperature
        if 0 < self.top_k < logits.shape[1]:
            least = logits.topk(self.top_k, dim=1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        chances = logits.softmax(1)
        if self.top_p < 1:
            ordered, places = chances.sort(dim=1, descending=True, stable=True)
            before = ordered.cumsum(1) - ordered  # a code stays if those before it are too few
            ordered = ordered.masked_fill(before >= self.top_p, 0)
            chances = torch.zeros_like(chances).scatter(1, places, ordered)
            chances = chances / chances.sum(1, keepdim=True)
        return chances


def draw(chances: Tensor, uniform: Tensor) -> Tensor:
    """Return a code for each row, int64 ``[N]``: the inverse of the distribution function.

    Each row has its own number, so that a draw does not depend on the others.

    Args:
        chances: ``[N, codes]``, not negative; rows need not add up to 1.
        uniform: numbers in [0, 1), ``[N]``.
    """
    check_shape("uniform", uniform, [len(chances)])
    reached = chances.double().cumsum(1)
    wanted = uniform.to(reached)[:, None] * reached[:, -1:]
    drawn = (reached <= wanted).sum(1)
    # rounding must not draw what has no chance
    last = chances.shape[1] - 1 - (chances > 0).flip(1).int().argmax(1)
    return torch.minimum(drawn, last)
