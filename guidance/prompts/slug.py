"""Prompt → name of a run folder that every file system accepts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from guidance.conventions import check_range

_RESERVED = re.compile(r"con|prn|aux|nul|conin|conout|com\d|lpt\d")
_LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
_DROPPED = dict.fromkeys([*range(0x300, 0x370), *map(ord, "'’ʼ\u200d\ufe0f\u20e3")])


def slug(text: str, max_length: int = 48) -> str:
    """Return a lower-case file name for `text`, at most `max_length` bytes of UTF-8.

    Latin letters lose their accents, letters of other scripts stay, emoji become their Unicode
    names, everything else becomes a hyphen. The result is never empty and never a name that
    Windows reserves.

    Example:
        >>> slug("A fox, at sunrise!")
        'a-fox-at-sunrise'
        >>> slug("Crème brûlée: Straße")
        'creme-brulee-strasse'
        >>> slug("🦊"), slug("狐狸 2"), slug("???"), slug("con")
        ('fox-face', '狐狸-2', 'prompt', 'con-prompt')
    """
    check_range("max_length", max_length, 16)
    text = unicodedata.normalize("NFKC", text[: 16 * max_length]).lower()
    text = unicodedata.normalize("NFC", text.translate(_LATIN).translate(_DROPPED))
    name = re.sub(r"-+", "-", "".join(map(_ascii, text))).strip("-")
    name = _shorten(name, max_length) or "prompt"
    return f"{name}-prompt" if _RESERVED.fullmatch(name) else name


def run_name(technique: str, texts: Iterable[str], seed: int) -> str:
    """Return the name of a run's folder.

    Args:
        technique: its name.
        texts: those of the prompts, without weights and steps; doubles count once.
        seed: of the run.

    Example:
        >>> run_name("clipdraw", ["a fox", "a wolf", "a fox"], 7)
        'clipdraw-a-fox-a-wolf-7'
    """
    return f"{technique}-{slug(' '.join(dict.fromkeys(texts)))}-{seed}"


def _ascii(c: str) -> str:
    """Return what stands for one character in a file name."""
    plain = unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode()
    if plain.isalnum():
        return plain
    category = unicodedata.category(c)
    if category[0] in "LM" or category == "Nd":
        return c
    if category == "So" and ord(c) >= 0x2190:
        return "-" + re.sub(r"[^a-z0-9]+", "-", unicodedata.name(c, "").lower()) + "-"
    return "-"


def _shorten(name: str, max_length: int) -> str:
    """Cut to `max_length` bytes, after a whole word where the last one is not too long."""
    if len(name.encode()) <= max_length:
        return name
    cut = name.encode()[: max_length + 1].decode(errors="ignore")
    words = cut.rpartition("-")[0]
    if len(words.encode()) < max_length // 2:
        words = cut.encode()[:max_length].decode(errors="ignore")
    return words.strip("-")
