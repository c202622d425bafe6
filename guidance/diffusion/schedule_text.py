"""``"[12]*400+[4]*600"`` → numbers over a run, as disco-diffusion users write them.

The text is read by a small grammar, never evaluated as code:

    schedule = number | list ("+" list)*        list = "[" number ("," number)* "]" ("*" count)?

A repeated list is kept as one entry, so that a long schedule costs no memory.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import NoReturn

from guidance.conventions import check_range
from guidance.errors import InputError

MAX_LENGTH = 10**6  # numbers in a schedule
MAX_TEXT = 10**5  # characters
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
_COUNT = re.compile(r"[0-9]+(?![0-9.eE])")
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Steps:
    """Numbers spread over a run of any number of steps.

    Attributes:
        runs: each a list of numbers and how many times it is repeated.
    """

    runs: tuple[tuple[tuple[float, ...], int], ...]

    def __post_init__(self) -> None:
        # where each run ends; kept, since `at` is asked at every step
        ends = tuple(accumulate(len(values) * count for values, count in self.runs))
        object.__setattr__(self, "_ends", ends)

    def __len__(self) -> int:
        """Return how many numbers the schedule holds."""
        return self._ends[-1]

    @property
    def low(self) -> float:
        """The smallest number."""
        return min(min(values) for values, _ in self.runs)

    @property
    def high(self) -> float:
        """The greatest number."""
        return max(max(values) for values, _ in self.runs)

    def at(self, fraction: float) -> float:
        """Return the number at a point of the run; step i of n begins at ``i / n``.

        Args:
            fraction: 0 is the beginning of the run and 1 its end.

        Raises:
            InputError: `fraction` is outside [0, 1].

        Example:
            >>> steps = parse_steps("cuts", "[12]*400+[4]*600")
            >>> steps.at(0.39), steps.at(0.4)
            (12.0, 4.0)
        """
        check_range("fraction", fraction, 0, 1)
        # the small term undoes rounding: 29/100 of 100 numbers is the 29th
        index = min(int(fraction * len(self) + 1e-6), len(self) - 1)
        run = bisect_right(self._ends, index)
        values = self.runs[run][0]
        return values[(index - self._ends[run]) % len(values)]  # a run is whole lists


def parse_steps(option: str, text: str) -> Steps:
    """Return the schedule that `text` describes.

    Args:
        option: named in messages.
        text: one number, or lists of numbers, repeated by ``*`` and joined by ``+``.

    Raises:
        InputError: it is something else, with the column; or it is longer than a million numbers.

    Example:
        >>> len(parse_steps("cuts", "[12]*400 + [4]*600"))
        1000
    """
    return _Reader(option, text).schedule()


class _Reader:
    """Reads one schedule from left to right."""

    def __init__(self, option: str, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise InputError(f"{option} must be at most {MAX_TEXT} characters but has {len(text)}")
        self.option, self.text, self.column = option, text, 0

    def schedule(self) -> Steps:
        """Return the whole text as a schedule."""
        if self._next() != "[":
            value = self._number()
            if self._next():
                self._fail("one number stands alone; write lists such as [12]*400+[4]*600")
            return Steps((((value,), 1),))
        runs, length = [], 0
        while True:
            start = self.column
            values, count = self._list(), self._count()
            length += len(values) * count
            if length > MAX_LENGTH:
                self.column = start
                self._fail(f"a schedule must hold at most {MAX_LENGTH} numbers")
            runs.append((values, count))
            if not self._next():
                return Steps(tuple(runs))
            self._expect("+", "expected '+' and the next list")

    def _list(self) -> tuple[float, ...]:
        self._expect("[", "expected a list such as [12]*400")
        values = [self._number()]
        while self._next() == ",":
            self.column += 1
            values.append(self._number())
        self._expect("]", "expected ',' or ']'")
        return tuple(values)

    def _count(self) -> int:
        """Return the number after ``*``, or 1."""
        if self._next() != "*":
            return 1
        self.column += 1
        self._next()
        match = _COUNT.match(self.text, self.column)
        if not match or not match[0].lstrip("0"):
            self._fail("expected how many times the list is repeated, a whole number from 1")
        self.column = match.end()
        return int(match[0]) if len(match[0]) < 10 else 10**9  # too long in any case

    def _number(self) -> float:
        self._next()
        match = _NUMBER.match(self.text, self.column)
        value = float(match[0]) if match else math.nan
        if match is None or not math.isfinite(value):
            self._fail("expected a number")
        self.column = match.end()
        return value

    def _expect(self, character: str, reason: str) -> None:
        if self._next() != character:
            self._fail(reason)
        self.column += 1

    def _next(self) -> str:
        """Skip spaces; return the next character, or nothing at the end."""
        if spaces := _SPACE.match(self.text, self.column):
            self.column = spaces.end()
        return self.text[self.column : self.column + 1]

    def _fail(self, reason: str) -> NoReturn:
        low = max(0, self.column - 30) if len(self.text) > 60 else 0
        shown = self.text[low : low + 60]
        shown = ("…" if low else "") + shown + ("…" if low + 60 < len(self.text) else "")
        raise InputError(
            f"{self.option} must be a number or lists such as [12]*400+[4]*600: {reason} "
            f"(column {self.column + 1} of {shown!r})"
        )
