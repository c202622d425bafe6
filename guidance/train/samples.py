"""Samples as trainings take them: how often each is drawn, decoded ahead of its step."""

from __future__ import annotations

import copy
import fnmatch
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import TypeVar

import numpy as np
from PIL import Image

from guidance.data import Sample, Samples
from guidance.errors import FileError, InputError

T = TypeVar("T")
AHEAD = 2  # batches decoded in advance
GREY = (128, 128, 128)


def factor(sample: Sample, weights: dict[str, float]) -> float:
    """Return the product of the `weights` whose pattern fits source, group or a tag."""
    words = (sample.source, sample.group, *sample.tags)
    fitting = (w for p, w in weights.items() if any(fnmatch.fnmatchcase(x, p) for x in words))
    return float(np.prod([1.0, *fitting]))


class Lot:
    """Draws rows of `samples`, each as often as its own weight and `weights` by pattern say.

    Raises:
        InputError: no row can be drawn.
    """

    def __init__(self, samples: Samples, weights: dict[str, float]) -> None:
        shares = np.array([s.weight * factor(s, weights) for s in samples])
        if not (shares > 0).any() or not np.isfinite(shares).all():
            raise InputError("weights: every picture has weight 0, or one has no finite weight")
        self.chances = np.cumsum(shares / shares.sum())

    def some(self, rng: np.random.Generator, count: int) -> Lot:
        """Return a lot of `count` rows alone, which are drawn by their weight without repetition.

        Among themselves they keep their shares; there must be as many rows that can be drawn.
        """
        shares = np.diff(self.chances, prepend=0).clip(min=0)
        kept = rng.choice(len(shares), count, replace=False, p=shares / shares.sum())
        part = np.zeros_like(shares)
        part[kept] = shares[kept]
        lot = copy.copy(self)
        lot.chances = np.cumsum(part / part.sum())
        return lot

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return `size` rows, int64."""
        return np.minimum(np.searchsorted(self.chances, rng.random(size)), len(self.chances) - 1)


def picture(samples: Samples, row: int) -> Image.Image:
    """Return a picture; a damaged one is grey, with a warning: it should not end a run of hours."""
    try:
        return samples.image(row)
    except FileError as error:
        warnings.warn(f"{error}; a grey one takes its place", stacklevel=2)
        return Image.new("RGB", (8, 8), GREY)


def ahead(begin: Callable[[int], T], step: int) -> Iterator[T]:
    """Yield what `begin` returns for each step from `step` on, a few of them begun in advance."""
    begun: deque[T] = deque()
    for number in count(step):
        begun.append(begin(number))
        if len(begun) == AHEAD:
            yield begun.popleft()
