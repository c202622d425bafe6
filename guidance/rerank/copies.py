"""The best images → copies in a folder, named after their place."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from guidance.files.writing import atomic
from guidance.score.ranking import Ranked


def copy_best(folder: str | os.PathLike, ranked: Sequence[Ranked]) -> None:
    """Copy files to `folder` as ``01_0.312_name.png``; nothing that is there is overwritten.

    Raises:
        FileError: a file cannot be read any more, or a copy cannot be written.
    """
    digits = max(2, len(str(len(ranked))))
    for r in ranked:
        start = f"{r.rank:0{digits}}_{r.score:.3f}_"
        target = _free_name(Path(folder), start, r.file)
        if target is None:
            continue
        with atomic(target) as temporary:
            shutil.copyfile(r.file, temporary)


def _free_name(folder: Path, start: str, source: Path) -> Path | None:
    """Return where to copy `source` to, or None if the same copy is there already."""
    number = 1
    while True:
        end = source.suffix if number == 1 else f"-{number}{source.suffix}"
        room = 255 - len(os.fsencode(start + end))  # the longest name of common file systems
        stem = os.fsencode(source.stem)[:room]
        target = folder / (start + os.fsdecode(stem) + end)
        if not os.path.lexists(target):
            return target
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            return None
        number += 1
