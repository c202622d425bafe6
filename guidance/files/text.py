"""Files of text → lines, in whatever form of Unicode; JSON files → objects."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from guidance.errors import FileError, InputError, nearest

_MARKS = (  # the longer ones first: UTF-32 begins as UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip


def decode(data: bytes) -> str:
    """Return text that is UTF-8, or that a byte order mark says to be UTF-16 or UTF-32.

    Other encodings are not guessed: a wrong guess would be a wrong text.

    Raises:
        InputError: it is no such text; reads on from the file's name.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"is not UTF-8 text (line {line}); save it as UTF-8") from None
    if "\0" in text:
        raise InputError("is not UTF-8 text: it holds NUL characters; save it as UTF-8")
    return text


def lines(text: str) -> list[str]:
    """Split at line breaks alone; U+2028 and the like belong to their line."""
    return re.split(r"\r\n|\r|\n", text)


def read_object(path: Path, most: int | None = None) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
        most: bytes that the file may have; None for any number.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or holds something else.
    """
    if most is not None and path.stat().st_size > most:
        raise ValueError("it is too large")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"it is nested too deeply: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content


def read_lines(path: str | os.PathLike, what: str) -> list[str]:
    """Return the lines of a file without space around them and without blank ones.

    Args:
        what: it holds, for the message.

    Raises:
        FileError: it cannot be read or is no text.
    """
    try:
        found = lines(decode(Path(path).read_bytes()))
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or f"it {error}"
        raise FileError(f"cannot read the {what} in {path}: {reason}") from error
    return [line for line in map(str.strip, found) if line]


def read_prompts(path: str) -> list[str]:
    """Return the lines of a text file without blank ones and ``#`` comments.

    Raises:
        FileError: it is missing, not UTF-8, or holds no prompt.
    """
    file = Path(path)
    try:
        lines = read_lines(file, "prompts")
    except FileError:
        if not file.exists():
            raise FileError(missing(file)) from None
        raise
    prompts = [line for line in lines if not line.startswith("#")]
    if not prompts:
        raise FileError(f"{path} holds no prompts, one a line")
    return prompts


def missing(path: Path) -> str:
    """Return the message for a path that does not exist, with the nearest names beside it."""
    try:
        beside: Iterable[str] = [p.name for p in path.parent.iterdir()]
    except OSError:
        beside = []
    return f"{path} does not exist{nearest(path.name, beside)}"
