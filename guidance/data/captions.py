"""Texts and JSON that people write about pictures → captions, each one line, and facts.

Every `InputError` reads on from the name of the file, member or line: "has no caption".
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from guidance.errors import InputError

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def tidy(text: str) -> str:
    """Return `text` on one line, without marks of byte order and surplus space.

    Raises:
        InputError: it holds half of a character.
    """
    if _SURROGATES.search(text):
        raise InputError("has a text that is not valid Unicode")
    return " ".join(_CONTROLS.sub(" ", text.replace("\ufeff", "")).split())


def parse_json(text: str) -> Any:
    """Return the value of JSON.

    Raises:
        InputError: it is none, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError("is not readable JSON: it is nested too deeply") from None
    except ValueError as error:  # also numbers of thousands of digits
        raise InputError(f"is not readable JSON: {error}") from None


def captions_of(value: object) -> tuple[str, ...]:
    """Return the captions that a string or a list of strings gives, each once; null is none.

    Raises:
        InputError: one is anything else.
    """
    texts = value if isinstance(value, list | tuple) else [value]
    texts = [t for t in texts if t is not None]
    if not all(isinstance(t, str) for t in texts):
        raise InputError("has a caption that is not text")
    return tuple(dict.fromkeys(filter(None, map(tidy, texts))))


def text_of(meta: dict[str, Any], *names: str) -> str:
    """Return the value of the first of `names` that `meta` has, as text; "" for none or null.

    Raises:
        InputError: it is a list or an object.
    """
    name = next((n for n in names if meta.get(n) is not None), None)
    if name is None:
        return ""
    if not isinstance(meta[name], str | int | float):
        raise InputError(f"has a {name} that is not text")
    return tidy(str(meta[name]))


def number_of(meta: dict[str, Any], name: str, default: float) -> float:
    """Return the number `name` of `meta`, which must be finite and not negative.

    Raises:
        InputError: it is not.
    """
    value = meta.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise InputError(f"has a {name} that is not a number from 0 on")
    return number


def tags_of(value: object) -> tuple[str, ...]:
    """Return the tags that a list or a text with commas gives; null is none.

    Raises:
        InputError: one is not text.
    """
    tags = value.split(",") if isinstance(value, str) else [] if value is None else value
    if not isinstance(tags, list) or not all(isinstance(t, str | int | float) for t in tags):
        raise InputError("has tags that are not text")
    return tuple(filter(None, (tidy(str(t)) for t in tags)))
