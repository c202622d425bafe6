"""Paths and folders → image files, each once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from guidance.errors import FileError, InputError, counted
from guidance.files.text import missing
from guidance.images import is_image_path

# what systems leave in folders of pictures: previews, views, waste baskets
LEFTOVERS = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin",
     "system volume information")
)  # fmt: skip


def is_hidden(name: str | os.PathLike) -> bool:
    """Return whether a file is no file of the user's: hidden, or left behind by a system.

    Such are names with a leading dot (macOS' ``._a.jpg``, ``.DS_Store``, ``.ipynb_checkpoints``)
    and those of `LEFTOVERS`, and whatever lies in a folder of such a name.

    Args:
        name: a file's name, or its path below the folder or archive that is read; what that
            folder itself is called does not count.

    Example:
        >>> is_hidden("dogs/._rex.jpg"), is_hidden("./dogs/rex.jpg")
        (True, False)
    """
    return any(
        (part.startswith(".") and part != "..") or part.lower() in LEFTOVERS
        for part in PurePath(name).parts
    )


def collect(
    paths: Sequence[str | os.PathLike],
    *,
    recursive: bool = False,
    leave_out: str | os.PathLike | None = None,
    passed: Counter[str] | None = None,
) -> list[Path]:
    """Return the image files among `paths` and in the folders among them, in order.

    A file that is named is taken whatever its suffix. In folders, hidden files and files without
    the suffix of an image are passed over. Links are followed, and a file that can be reached in
    several ways is taken once.

    Args:
        recursive: look into the folders of folders.
        leave_out: a folder that is not looked into although it lies in one that is.
        passed: is told how many files of each suffix were passed over, hidden ones not counted.

    Raises:
        FileError: a path does not exist, or a folder cannot be listed.
        InputError: there is no image.
    """
    files: dict[str, Path] = {}
    passed = Counter() if passed is None else passed
    entered: set[str] = set() if leave_out is None else {os.path.realpath(leave_out)}
    for path in map(Path, paths):
        if not path.exists():
            raise FileError(missing(path))
    for path in map(Path, paths):
        found: Iterable[Path] = _walk(path, recursive, entered, passed) if path.is_dir() else [path]
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    if not files:
        hint = "" if recursive or not _has_folder(paths) else "; --recursive looks into its folders"
        others = f"; {passed_over(passed)}" if passed else ""
        raise InputError(f"no images in {', '.join(map(str, paths))}{others}{hint}")
    return list(files.values())


def passed_over(passed: Counter[str]) -> str:
    """Say how many files of which suffixes were passed over.

    Example:
        >>> passed_over(Counter({".heic": 12, ".txt": 1, "": 1}))
        'passed over 14 files that are no images: 12 .heic, 1 .txt, 1 without a suffix'
    """
    most = passed.most_common(5)
    kinds = [f"{count} {suffix or 'without a suffix'}" for suffix, count in most]
    rest = passed.total() - sum(count for _, count in most)
    kinds += [f"{rest} others"] if rest else []
    files = counted(passed.total(), "file that is no image", "files that are no images")
    return f"passed over {files}: {', '.join(kinds)}"


def _walk(folder: Path, recursive: bool, entered: set[str], passed: Counter[str]) -> Iterator[Path]:
    """Give the images of a folder, sorted by name, then those of its folders."""
    real = os.path.realpath(folder)
    if real in entered:  # a loop of links, or named twice
        return
    entered.add(real)
    try:
        entries = sorted(folder.iterdir(), key=lambda p: os.fsencode(p.name))
    except OSError as error:
        raise FileError(f"cannot list the folder {folder}: {error.strerror or error}") from error
    folders = []
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if os.path.isdir(entry):
            folders.append(entry)
        elif is_image_path(entry):
            yield entry
        else:
            passed[entry.suffix.lower()] += 1
    if recursive:
        for entry in folders:
            yield from _walk(entry, recursive, entered, passed)


def _has_folder(paths: Sequence[str | os.PathLike]) -> bool:
    entries = (e for path in map(Path, paths) if path.is_dir() for e in path.iterdir())
    return any(e.is_dir() and not is_hidden(e.name) for e in entries)
