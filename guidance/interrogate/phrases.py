"""Lists of phrases: a folder of text files → name → phrases."""

from __future__ import annotations

import os
from pathlib import Path

from guidance.errors import FileError, InputError
from guidance.files.text import missing, read_prompts
from guidance.images.collect import is_hidden

OURS = Path(__file__).with_name("lists")
START = "subjects"  # the list whose phrases begin the words
MOST = 200_000  # phrases; more take hours to embed and do not make better words


def load_lists(folder: str | os.PathLike | None = None) -> dict[str, tuple[str, ...]]:
    """Return the phrases of each list, those of `START` first, the others by name.

    Args:
        folder: holds ``NAME.txt`` with a phrase on each line; None means the lists of the package.

    Raises:
        FileError: the folder does not exist, or a list cannot be read or holds no phrase.
        InputError: it holds no list, or too many phrases.
    """
    place = OURS if folder is None else Path(folder)
    if not place.is_dir():
        raise FileError(missing(place) if not place.exists() else f"{place} is not a folder")
    files = sorted(p for p in place.glob("*.txt") if not is_hidden(p.name))
    if not files:
        raise InputError(f"{place} holds no list: NAME.txt with a phrase on each line")
    files.sort(key=lambda p: p.stem != START)
    lists = {p.stem: tuple(dict.fromkeys(read_prompts(str(p)))) for p in files}
    count = sum(map(len, lists.values()))
    if count > MOST:
        raise InputError(f"{place} may hold {MOST:,} phrases at most but holds {count:,}")
    return lists
