"""Prompts → pictures, code by code: the small interface over all autoregressive models.

A writer only says how likely each code is at the next position. Temperature, top-k, top-p,
classifier-free guidance (a doubled batch with the empty prompt) and codes that are known belong to
who draws the codes, so that every writer gets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Writing(Protocol):
    """N pictures that are being written, with what is remembered of their beginnings.

    Positions go row by row from the top left. The memory of earlier positions (a key-value cache)
    is its own; `next` adds one position to it.
    """

    def next(self, codes: Tensor | None) -> Tensor:
        """Return the logits of the next position: float32 ``[N, codes]``.

        Args:
            codes: int64 ``[N]``, those that were chosen for the position before; None at first.

        Raises:
            InputError: no code where one is needed or the other way round, or the pictures are
                complete.
        """
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with some pictures alone, in this order; a picture may be there several times.

        Args:
            rows: int64 ``[M]``, numbers of pictures.
        """
        ...


class Writer(Protocol):
    """An autoregressive model of pictures; frozen, without gradient.

    Attributes:
        name: shown to people.
        grid: rows and columns of a picture.
        codes: size of the vocabulary, that of its codec.
    """

    name: str
    grid: tuple[int, int]
    codes: int

    def begin(self, prompts: Sequence[str]) -> Writing:
        """Return pictures of which nothing is written yet, one a prompt.

        Args:
            prompts: "" stands for no prompt, which a model that was trained for it answers as what
                classifier-free guidance contrasts with.

        Raises:
            InputError: there are no prompts.
        """
        ...

    def memory(self, pictures: int) -> int:
        """Return the bytes that a writing of so many pictures needs at its end, about."""
        ...


def write_given(writing: Writing, codes: Tensor) -> Tensor:
    """Let pictures begin with given codes and return the logits of the position after them.

    Args:
        writing: of N pictures, nothing written yet.
        codes: int64 ``[N, n]`` in the order of writing; n may be 0.
    """
    logits = writing.next(None)
    for given in codes.unbind(1):
        logits = writing.next(given)
    return logits
