"""Texts → tokens, and which words of a text do not fit into the tokens that a CLIP reads."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch
from torch import Tensor

Tokenizer = Callable[..., Tensor]
WORDS, LETTERS = 12, 100  # of what was cut, shown at most


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Return the tokens of `texts`, ``[P, context_length]``; those of a text are always the same.

    CLIPA's reduction masks draw what a long text loses; here the draw is seeded, and each text is
    drawn for by itself.
    """
    if getattr(tokenizer, "reduction_fn", None) is None:
        return tokenizer(list(texts))
    rows = []
    for text in texts:
        with _seeded():
            rows.append(tokenizer([text]))
    return torch.cat(rows)


def padding(tokenizer: Tokenizer) -> int:
    """Return the token that fills up short texts; it may be that of a letter as well."""
    return int(tokenizer([""])[0].mode().values)


def missing(tokenizer: Tokenizer, text: str, row: Tensor, pad: int) -> str:
    """Say what of `text` is not in its tokens, e.g. ``its last 2 words are ignored: 'a boat'``.

    Args:
        tokenizer: of the model.
        text: as it was tokenized.
        row: its tokens ``[context_length]``.
        pad: the padding, see `padding`.

    Returns:
        The end of a sentence; empty if everything is there.
    """
    if row[-1] == pad == row[-2]:
        return ""  # there is room left; a single one may be a mark that ends every text
    if not _overflows(tokenizer, text, row, pad):
        return ""
    if getattr(tokenizer, "reduction_fn", None) is not None:
        return "some of its words are ignored"  # anywhere in it
    words = text.split()
    kept = _kept(tokenizer, words, row)
    *before, last = words[:kept] or [""]
    # the last word may be cut inside: Chinese, say, has no spaces
    letters = _fewest(len(last), lambda n: _same(tokenizer, [*before, last[:n]], row))
    cut = [w for w in (last[letters:], *words[kept:]) if w]
    shown = " ".join(cut[:WORDS])
    shown = shown[:LETTERS] + (" …" if len(cut) > WORDS or len(shown) > LETTERS else "")
    ignored = "word is" if len(cut) == 1 else f"{len(cut)} words are"
    return f"its last {ignored} ignored: {shown!r}" if cut else ""


def _overflows(tokenizer: Tokenizer, text: str, row: Tensor, pad: int) -> bool:
    """Return whether a longer context would hold more of `text` than `row` does."""
    room = len(row) + 2 * len(text.encode("utf-8", "surrogatepass"))
    try:
        whole = tokenizer([text], context_length=room)[0]
    except TypeError:  # not one of open_clip's
        return _kept(tokenizer, text.split(), row) < len(text.split())
    return int((whole != pad).sum()) > int((row != pad).sum())


def _kept(tokenizer: Tokenizer, words: Sequence[str], row: Tensor) -> int:
    """Return how many of `words` it takes to get the tokens `row`."""
    return _fewest(len(words), lambda n: _same(tokenizer, words[:n], row))


def _same(tokenizer: Tokenizer, words: Sequence[str], row: Tensor) -> bool:
    return torch.equal(tokenizer([" ".join(words)])[0], row)


def _fewest(count: int, enough: Callable[[int], bool]) -> int:
    """Return the least n <= `count` for which ``enough(n)``, by bisection."""
    low = min(1, count)
    while low < count:
        middle = (low + count) // 2
        low, count = (low, middle) if enough(middle) else (middle + 1, count)
    return low


@contextlib.contextmanager
def _seeded() -> Generator[None]:
    """Seed the global generators, which these masks draw from, and put them back."""
    state: Any = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random.seed(0)
        try:
            yield
        finally:
            random.setstate(state)
