"""``"prompt:1,uniqueness:0.5"`` → what images are ordered by."""

from __future__ import annotations

import math

from guidance.errors import InputError, unknown

CRITERIA = ("prompt", "uniqueness", "aesthetic")
MAX_WEIGHT = 1000.0


def parse_by(text: str) -> dict[str, float]:
    """Return the weight of each criterion, in the order given.

    A weight of 0 shows a score without counting it; a negative one prefers low scores.

    Raises:
        InputError: an unknown or repeated criterion, a weight that is no number up to 1000, or
            none that counts.

    Example:
        >>> parse_by("prompt,uniqueness:0.5")
        {'prompt': 1.0, 'uniqueness': 0.5}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = (piece.strip() for piece in part.partition(":"))
        if name not in CRITERIA:
            raise InputError("--by: " + unknown("criterion", name, CRITERIA))
        if name in found:
            raise InputError(f"--by names {name} twice: {text!r}")
        try:
            found[name] = float(number) if colon else 1.0
        except ValueError:
            found[name] = math.nan
        if not abs(found[name]) <= MAX_WEIGHT:
            raise InputError(
                f"--by: the weight of {name} must be a number within ±{MAX_WEIGHT:g} but is "
                f"{number!r}"
            )
    if not any(found.values()):
        raise InputError(f"--by: at least one weight must not be 0: {text!r}")
    return found
