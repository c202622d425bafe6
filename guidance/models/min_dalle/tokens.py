"""Text → the numbers of its subwords, by the byte-pair vocabulary of DALL·E mini.

Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with Subword Units",
arXiv:1508.07909, section 3.2: of the pairs of neighbours in a word the one that was merged first
when the vocabulary was made is merged, until none is left. A word begins with "Ġ". Texts are in
small letters, and only ASCII is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from guidance.errors import ModelError, line, nearest
from guidance.files.text import read_object

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
PADDING = 1  # the number of what fills the room behind a text
_WORD = "Ġ"


class Subwords:
    """A byte-pair vocabulary.

    Args:
        numbers: of the subwords.
        merges: pairs of subwords that make another, the first made first.
    """

    def __init__(self, numbers: Mapping[str, int], merges: Sequence[tuple[str, str]]):
        self.numbers = numbers
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}

    def __call__(self, text: str, most: int) -> list[int]:
        """Return the numbers of a text between those of its beginning and its end.

        Args:
            text: what is not ASCII in it is passed over.
            most: a longer text is cut short, its end included.
        """
        numbers, unknown = self.numbers, self.numbers[UNKNOWN]
        words = text.lower().encode("ascii", errors="ignore").decode().split(" ")
        inside = [numbers.get(s, unknown) for w in words if w for s in self.split(w)]
        return [numbers[BEGIN], *inside, numbers[END]][:most]

    def split(self, word: str) -> list[str]:
        """Return the subwords of a word."""
        parts = [_WORD, *word]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            first = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if first not in self.ranks:
                break
            at = pairs.index(first)
            parts[at : at + 2] = ["".join(first)]
        return parts


def read_subwords(vocab: Path, merges: Path, rows: int) -> Subwords:
    """Return the vocabulary of ``vocab.json`` and ``merges.txt``.

    Args:
        rows: how many numbers the encoder knows.

    Raises:
        ModelError: a file is none of the two, or does not fit the encoder.
    """
    try:
        numbers = read_object(vocab)
        lines = merges.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the vocabulary {vocab}, {merges} cannot be read: {line(error)}"
        ) from None
    for mark in (BEGIN, END, UNKNOWN):
        if mark not in numbers:
            raise ModelError(f"{vocab} lacks the entry {mark!r}{nearest(mark, numbers)}")
    for subword, number in numbers.items():
        if type(number) is not int or not 0 <= number < rows:
            raise ModelError(
                f"{vocab} does not fit the encoder: {subword!r:.40} must be a whole number below "
                f"{rows} but is {number!r:.40}"
            )
    pairs = [tuple(entry.split()) for entry in lines[1:] if entry]
    if bad := next((i for i, pair in enumerate(pairs) if len(pair) != 2), None):
        raise ModelError(f"{merges} is no list of merges: {lines[1 + bad]!r:.60} is no pair")
    return Subwords(numbers, [(pair[0], pair[1]) for pair in pairs])
