r"""``text:weight:stop`` → the text and its numbers, read from the right.

A whole number directly after a digit and a colon is a ratio or a time, and numbers never begin
there.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

from guidance.errors import PromptError
from guidance.prompts.characters import SPECIAL, restore
from guidance.prompts.schedule import Entry

MAX_WEIGHT = 1000.0  # a larger number is a year or a title: "Blade Runner: 2049"
MAX_DISTANCE = math.pi**2 / 2  # squared great-circle distance of opposite embeddings
_DIGITS = frozenset("0123456789")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)
_FORMULA = re.compile(r"[0-9a-z_.,+\-*/%() ]+")
_FORMULA_NAMES = frozenset(
    ("t", "sin", "cos", "tan", "tanh", "abs", "min", "max", "exp", "log", "sqrt", "pow", "pi")
)
_MASK = re.compile(r"\s*[+-]?[0-9.]+\s*_")


def split_numbers(entry: Entry, piece: str, *, ratios: bool) -> tuple[str, list[float]]:
    """Split a piece into the text, still protected, and zero to two numbers.

    The numbers begin at the first of the trailing numeric fields that is not part of a ratio
    (with `ratios` False: at the first one).
    """
    fields = piece.split(":")
    last = len(fields)
    while last > 1 and is_number(fields[last - 1]):
        last -= 1
    while ratios and last < len(fields) and is_ratio(fields[last - 1], fields[last]):
        last += 1
    numbers = fields[last:]
    if len(numbers) > 2:
        entry.fail(
            f"at most a weight and a stop may follow a text but {len(numbers)} numbers do;"
            r" write '\:' before a number that is text"
        )
    _refuse_foreign(entry, fields[:last], ratios)
    return ":".join(fields[:last]), [float(number) for number in numbers]


def is_number(field: str) -> bool:
    """Return whether a field is a number; ``nan`` and ``inf`` only directly after the colon."""
    return bool(_NUMBER.fullmatch(field.strip()) or _NOT_FINITE.fullmatch(field.rstrip()))


def is_ratio(before: str, after: str) -> bool:
    """Return whether a colon between two fields belongs to ``3:2`` or ``12:30 at night``."""
    if before[-1:] not in _DIGITS or after[:1] not in _DIGITS:
        return False
    return not is_number(after) or set(after.rstrip()) <= _DIGITS


def double(text: str) -> str:
    """Double the backslashes at the end of a text that a special character follows."""
    return text + "\\" * (len(text) - len(text.rstrip("\\")))


def escape(text: str, *, colons: bool = True) -> str:
    """Escape special characters; a colon only where it could be read as more than text."""

    def escaped(match: re.Match) -> str:
        slashes, c, i = match[1], match[2], match.end() - 1
        bare = c == ":" and (not colons or _is_plain_colon(text, i))
        return slashes * 2 + (c if bare else "\\" + c)

    return re.sub(rf"(?<!\\)(\\*)([{re.escape(SPECIAL)}])", escaped, text)


def check_weight(weight: float) -> float:
    """Return a valid weight as a float."""
    if not isinstance(weight, int | float) or isinstance(weight, bool):
        raise PromptError(f"a weight must be a number but is {type(weight).__name__}")
    if not 0 < abs(weight) <= MAX_WEIGHT:  # NaN lands here too
        raise PromptError(
            f"a weight must be between -{MAX_WEIGHT:g} and {MAX_WEIGHT:g} and not 0 but is"
            rf" {_shown(weight)}; write '\:' if the number is text"
        )
    return float(weight)


def check_stop(stop: float, weight: float) -> float:
    """Return a valid stop for `weight` as a float."""
    if not isinstance(stop, int | float) or isinstance(stop, bool):
        raise PromptError(f"a stop must be a number but is {type(stop).__name__}")
    if stop == -math.inf:
        return -math.inf
    if not abs(stop) <= MAX_DISTANCE:  # NaN lands here too
        raise PromptError(
            f"a stop must be a distance within ±{MAX_DISTANCE:.2f} but is"
            rf" {_shown(stop)}; write '\:' if the number is text"
        )
    if (stop < 0) != (weight < 0):
        sign = "negative" if weight < 0 else "positive"
        raise PromptError(f"the stop of a {sign} weight must be {sign} but is {stop:g}")
    return stop + 0.0  # turns -0.0 into 0.0


def _refuse_foreign(entry: Entry, fields: list[str], ratios: bool) -> None:
    """Refuse what other tools read as numbers: weights first, masks and functions of t."""
    if ratios:
        _refuse_prefix(entry, fields)
    for before, field in pairwise(fields[-3:]):
        if _MASK.match(field):
            entry.fail(r"masks are not supported; in ordinary text write '\:'")
        if field[:1].isspace() or (ratios and is_ratio(before, field)):
            continue
        names = set(re.findall("[a-z_]+", field)) if _FORMULA.fullmatch(field) else set()
        if "t" in names and names <= _FORMULA_NAMES:
            entry.fail(
                f"a weight or stop must be a number but is '{field.strip()[:40]}' (functions of t"
                r" are not supported, use steps such as '200: '); in ordinary text write '\:'"
            )


def _refuse_prefix(entry: Entry, fields: list[str]) -> None:
    """Refuse ``2:golden retriever``: a weight to some, a step to others."""
    if len(fields) < 2 or not is_number(fields[0]) or is_number(fields[1]):
        return
    if fields[1][:1].strip() and fields[1][0] not in _DIGITS:
        number, text = fields[0].strip()[:20], restore(":".join(fields[1:]))[:40]
        entry.fail(
            f"a number directly before the text is ambiguous: write '{text}:{number}' for a weight,"
            f" '{number}: {text}' for a step or '{number}\\:{text}' for text"
        )


def _shown(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) or abs(number) < 1e300 else "too large"


def _is_plain_colon(text: str, i: int) -> bool:
    """Return whether the colon at `i` is text to the parser: ``letter: letter`` or ``3:2``."""
    before, after = text[i - 1 : i] if i else "", text[i + 1 : i + 3]
    if before.isalpha() and after[:1] == " " and after[1:].isalpha():
        return True
    whole = re.compile(r"[0-9]{1,9}(?![0-9.eE:]|\s*_)").match(text, i + 1)
    return bool(whole) and is_ratio(before, whole[0]) and not text.startswith("{")
