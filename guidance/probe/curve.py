"""Shots → accuracy: the few-shot curve of the CLIP paper (Radford et al. 2021, figure 6).

For every number of shots, pictures are drawn several times; the validation pictures that choose
the regularisation are as few, at most four of a class, as CoOp has it (arXiv:2109.01134, 4.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from guidance.conventions import derive_seed, make_generator
from guidance.probe.data import Bank, draw
from guidance.probe.methods import Learn, Learned, refit

VALIDATION = 4  # pictures of each class that a few-shot probe is chosen by, at most


@dataclass(frozen=True)
class Point:
    """The accuracy of one method with so many pictures.

    Attributes:
        method: its name; ``zero-shot`` learns from none.
        shots: pictures of each class; None for all there are.
        images: pictures it learned from, in all.
        runs: accuracy of each draw, in [0, 1].
        strengths: λ of each draw, of the linear probe.
    """

    method: str
    shots: int | None
    images: int
    runs: tuple[float, ...]
    strengths: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Mean accuracy over the draws, in [0, 1]."""
        return sum(self.runs) / len(self.runs)

    @property
    def deviation(self) -> float:
        """Standard deviation over the draws (n - 1); 0 of a single one."""
        if len(self.runs) < 2:
            return 0.0
        square = sum((r - self.mean) ** 2 for r in self.runs)
        return math.sqrt(square / (len(self.runs) - 1))


def possible(bank: Bank, shots: Sequence[int]) -> list[int]:
    """Return those of `shots` that every class has pictures for."""
    fewest = int(torch.bincount(bank.labels[bank.train], minlength=len(bank.names)).min())
    return [k for k in shots if k <= fewest]


def few_shot(
    bank: Bank, method: str, learn: Learn, shots: int, draws: int, seed: int
) -> Iterator[float | Point]:
    """Give the accuracy of each draw as soon as it is known, then the point of them all."""
    runs, strengths, images = [], [], 0
    for number in range(draws):
        own = derive_seed(seed, "draw", number)
        train = draw(bank.labels, bank.train, shots, make_generator(own))
        val = draw(bank.labels, bank.val, min(shots, VALIDATION), make_generator(own))
        learned = learn(bank, train, val, own)
        runs.append(learned.accuracy(bank, bank.test))
        strengths += [] if learned.strength is None else [learned.strength]
        images = len(train)
        yield runs[-1]
    yield Point(method, shots, images, tuple(runs), tuple(strengths))


def with_all(bank: Bank, method: str, learn: Learn, seed: int) -> tuple[Point, Learned]:
    """Learn from all pictures that are not for the test; return figure and classifier.

    The regularisation of the linear probe is chosen on the validation part alone.
    """
    own, rows = derive_seed(seed, "all"), torch.cat([bank.train, bank.val])
    if method == "linear":
        learned = refit(bank, learn(bank, bank.train, bank.val, own), rows)
    else:
        learned = learn(bank, rows, bank.val, own)
    strengths = () if learned.strength is None else (learned.strength,)
    runs = (learned.accuracy(bank, bank.test),)
    return Point(method, None, len(rows), runs, strengths), learned
