"""Answers against the key → how many are right, how sure that is, and how far judges agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from guidance.evaluate.blind.answers import Answer, Right
from guidance.evaluate.blind.words import canonical

Key = Mapping[int, Right]
Answers = Mapping[int, Answer]
NOTHING = "nothing"  # stands for an empty name
_Z = 1.959964  # of 95 % of the normal distribution


def is_right(row: Right, answer: Answer) -> bool:
    """Return whether an answer is the picture's name or another one that is accepted."""
    names = map(canonical, (row.name, *row.accepted))
    return bool(answer.name) and canonical(answer.name) in names


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `count` trials.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Example:
        >>> [round(bound, 3) for bound in wilson(17 / 20, 20)]
        [0.64, 0.948]
    """
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    spread = math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    half = _Z * spread / (1 + _Z**2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def kappa(said: Sequence[Sequence[str]]) -> float | None:
    """Return how far judges agree beyond chance: 1 wholly, 0 as by chance; None if it is unknown.

    Fleiss 1971, "Measuring nominal scale agreement among many raters".

    Args:
        said: for each picture what each of at least two judges called it.
    """
    judges = len(said[0])
    alike = sum(pairs_alike(row) for row in said) / len(said)
    shares = Counter(name for row in said for name in row)
    chance = sum((n / (judges * len(said))) ** 2 for n in shares.values())
    return None if chance >= 1 else (alike - chance) / (1 - chance)


def pairs_alike(names: Sequence[str]) -> float:
    """Return the share of pairs of judges who gave one picture one name."""
    count = len(names)
    return sum(n * (n - 1) for n in Counter(names).values()) / (count * (count - 1))


def of_judge(key: Key, answers: Answers) -> dict[str, Any]:
    """Return how many answers of one judge are right and the mean likeness."""
    right = sum(is_right(row, answers[number]) for number, row in key.items())
    return _figures(right, len(key), len(key), [answers[n].likeness for n in key])


def of_all(key: Key, judges: Collection[Answers]) -> dict[str, Any]:
    """Return the same of several judges.

    The interval is that of as many trials as there are pictures, since the answers to one picture
    are not independent; so it is rather too wide.
    """
    right = sum(is_right(row, answers[n]) for answers in judges for n, row in key.items())
    likeness = [answers[n].likeness for answers in judges for n in key]
    return _figures(right, len(key) * len(judges), len(key), likeness)


def of_prompts(key: Key, judges: Collection[Answers]) -> dict[str, dict[str, Any]]:
    """Return of each prompt the right answers, the mean likeness and what it was called."""
    found: dict[str, dict[str, Any]] = {}
    for prompt in sorted({row.prompt for row in key.values()}):
        pairs = [(row, answers[n]) for answers in judges for n, row in key.items()
                 if row.prompt == prompt]  # fmt: skip
        said = Counter(answer.name or NOTHING for _, answer in pairs)
        found[prompt] = {
            "right": sum(is_right(row, answer) for row, answer in pairs),
            "of": len(pairs),
            "likeness": _mean([answer.likeness for _, answer in pairs]),
            "called": ", ".join(name if n == 1 else f"{name} {n} times"
                                for name, n in said.most_common()),
        }  # fmt: skip
    return found


def confusions(key: Key, judges: Collection[Answers]) -> list[dict[str, Any]]:
    """Return which name was taken for which other, the most frequent first."""
    found = Counter(
        (row.name, answers[n].name or NOTHING)
        for answers in judges
        for n, row in key.items()
        if not is_right(row, answers[n])
    )
    return [{"name": name, "called": said, "times": n} for (name, said), n in found.most_common()]


def agreement(key: Key, judges: Collection[Answers]) -> dict[str, float | None]:
    """Return how far several judges agree, whether they are right or not."""
    said = [[_meant(row, answers[n]) for answers in judges] for n, row in key.items()]
    alike = sum(map(pairs_alike, said)) / len(said)
    return {"same name, per cent": 100 * alike, "Fleiss' kappa": kappa(said)}


def _meant(row: Right, answer: Answer) -> str:
    """Return an answer so that other words for the right name are the same."""
    if not answer.name:
        return ""
    return canonical(row.name) if is_right(row, answer) else canonical(answer.name)


def _figures(
    right: int, count: int, trials: int, likeness: Sequence[float | None]
) -> dict[str, Any]:
    low, high = wilson(right / count, trials)
    return {
        "right": right, "of": count, "per cent": 100 * right / count, "95 % from": 100 * low,
        "to": 100 * high, "likeness": _mean(likeness),
    }  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
