r"""The characters of a prompt: which are refused, and stand-ins for those that are escaped.

An escaped special character is kept as one stand-in character, and every replacement keeps the
length, so that columns in error messages count the characters the user typed.
"""

from __future__ import annotations

import re
import string
from typing import NoReturn

from guidance.errors import PromptError

SPECIAL = ":|^[]"
_FILL = "\ufdd0"  # noncharacters, refused in prompts, so they can stand for escapes
_STAND_INS = dict(zip(SPECIAL, "\ufdd1\ufdd2\ufdd3\ufdd4\ufdd5", strict=True))
_RESTORE = {ord(v): k for k, v in _STAND_INS.items()} | {ord(_FILL): None}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_ESCAPE = re.compile(r"(?<!\\)(\\+)([:|^\[\]])")
# what Unicode's fonts leave no trace of (Default_Ignorable_Code_Point), and the Braille blank
_INVISIBLE = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)


def fail(reason: str, source: str, column: int = 1) -> NoReturn:
    """Raise `PromptError` with the column, counted from 1, and the prompt around it."""
    low = max(0, column - 30) if len(source) > 60 else 0
    shown = ("…" if low else "") + source[low : low + 60] + ("…" if low + 60 < len(source) else "")
    raise PromptError(f"{reason} (column {column} of prompt {shown!r})")


def clean(text: str) -> str:
    """Return `text` with line breaks and tabs as spaces; refuse other control characters.

    The length is kept, so that columns stay true.
    """

    def replace(match: re.Match) -> str:
        c = match[0]
        if c in "\t\n\v\f\r\x85\u2028\u2029":
            return " "
        what = "a NUL" if c == "\0" else f"the control character U+{ord(c):04X}"
        if "\ud800" <= c <= "\udfff":
            what = "text that is not valid Unicode"
        fail(f"a prompt must be printable text but contains {what}", text, match.start() + 1)

    text = _CONTROL.sub(replace, text)
    body = text.lstrip("\ufeff" + string.whitespace)  # byte order marks
    return body.rjust(len(text)) if text.startswith("\ufeff") else text


def protect(text: str) -> str:
    r"""Replace escapes such as ``\|`` by stand-ins of the same length.

    Backslashes are ordinary characters except before one of ``: | ^ [ ]``; there, a pair stands
    for one backslash and an odd one escapes the character, so Windows paths need no care.
    """

    def replace(match: re.Match) -> str:
        count, c = len(match[1]), match[2]
        kept = "\\" * (count // 2)
        if count % 2:
            return kept + _STAND_INS[c] + _FILL * (count - count // 2)
        return kept + _FILL * (count - count // 2) + c

    return _ESCAPE.sub(replace, text)


def restore(text: str) -> str:
    """Return protected text as the user meant it: unescaped and trimmed."""
    return text.translate(_RESTORE).strip()


def emptiness(text: str, what: str = "a prompt") -> str | None:
    """Return why a text does not do as `what`, None if there is something to see in it.

    Example:
        >>> emptiness("a\u200b") is None, emptiness("\u200b")
        (True, 'a prompt must not be empty but has only invisible characters (U+200B)')
    """
    if not _INVISIBLE.fullmatch(text):
        return None
    text = text.strip()
    seen = f" but has only invisible characters (U+{ord(text[0]):04X})" if text else ""
    return f"{what} must not be empty{seen}"
