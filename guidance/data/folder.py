"""A folder of pictures with a file of captions, or with a text file beside each → samples.

The captions file is the first of `guidance.data.captions_file` that the folder has, whatever the
case of its name. Without one every picture below the folder is taken that has a ``NAME.txt`` beside
it, one caption a line.
"""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from guidance.data.captions import captions_of
from guidance.data.captions_file import NAMES, Entry, read_captions
from guidance.data.samples import Sample, Skipped, sample_of
from guidance.data.tars import TEXTS
from guidance.errors import FileError, InputError, counted
from guidance.files.text import decode, lines
from guidance.images import exists
from guidance.images.collect import collect, is_hidden, passed_over
from guidance.images.names import FOREIGN


def read_folder(folder: Path, skipped: Skipped, *, captioned: bool = True) -> list[Sample]:
    """Return the samples of `folder`, those of one picture joined.

    Args:
        skipped: Is told which entries cannot be used.
        captioned: Without it captions are not needed: if there is no readable file of them, all
            pictures below the folder are taken.

    Raises:
        InputError: no captions, or they name pictures that are not there or lie elsewhere.
        FileError: the captions file cannot be read.
    """
    if captioned:
        return _captioned(folder, skipped)
    try:
        return _captioned(folder, Skipped(folder))
    except (FileError, InputError):
        found = pictures_below(folder)
        return [Sample(_key(p, folder), (), place=place_of(p)) for p in found]


def pictures_below(folder: Path) -> list[Path]:
    """Return the image files in `folder` and its folders, hidden ones left out, sorted.

    Warns of pictures in formats that are not read here.
    """
    passed: Counter[str] = Counter()
    try:
        found = sorted(collect([folder], recursive=True, passed=passed))
    except InputError:  # none
        found = []
    if foreign := Counter({k: n for k, n in passed.items() if k in FOREIGN}):
        warnings.warn(f"{folder}: {passed_over(foreign)}", stacklevel=2)
    return found


def place_of(path: Path) -> tuple[Path, int, None, str]:
    """Return the place of a picture that is a file of its own."""
    return (path, 0, None, path.suffix[1:].lower())


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _captioned(folder: Path, skipped: Skipped) -> list[Sample]:
    files = {p.name.lower(): p for p in sorted(folder.iterdir(), reverse=True) if p.is_file()}
    source = next((files[n] for n in NAMES if n in files), None)
    if source is None:
        return _beside(folder, skipped)
    skipped.path = source
    entries = read_captions(source, skipped)
    if not entries:
        raise InputError(f"data: {source} names no picture")
    return _joined(folder, source, entries, skipped)


def _joined(folder: Path, source: Path, entries: list[Entry], skipped: Skipped) -> list[Sample]:
    joined: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    missing = []
    names = _Names(folder)
    for where, name, meta in entries:
        key = _inside(folder, name)
        if key is None:
            raise InputError(f"data: {source}, {where}: {name!r} lies outside {folder}")
        if (key := names.found(key)) is None:
            missing.append(name)
        elif key in joined:
            more = [*(joined[key]["captions"] or ()), *(meta["captions"] or ())]
            joined[key]["captions"] = more or joined[key]["captions"]
        else:
            joined[key], places[key] = meta, where
    if missing:
        raise InputError(
            f"data: {len(missing):,} of {counted(len(joined) + len(missing), 'picture')} named in "
            f"{source} cannot be found, first {missing[0]!r}"
        )
    return _made(folder, joined, places, skipped)


class _Names:
    """The pictures of a folder by name, in whatever case and form of Unicode.

    What Windows and macOS take for one name, Linux does not: ``A.JPG`` and ``a.jpg``, or an accent
    as a character of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alike: dict[str, str] | None = None

    def found(self, key: str) -> str | None:
        """Return the path below the folder of the file that `key` means; None if there is none."""
        if exists(os.path.join(self.folder, key)):
            return key
        if self.alike is None:
            keys = (_key(p, self.folder) for p in pictures_below(self.folder))
            self.alike = {self.folded(k): k for k in keys}
        return self.alike.get(self.folded(key))

    @staticmethod
    def folded(key: str) -> str:
        """Return what equal names of any system have in common."""
        return unicodedata.normalize("NFC", key).casefold()


def _inside(folder: Path, name: str) -> str | None:
    """Return the path of a picture below `folder`, with slashes; None if it lies elsewhere.

    Another's captions file shall not reach for files that have not come with it. Windows'
    separators are understood.
    """
    if "\\" in name and not exists(os.path.join(folder, name)):
        name = name.replace("\\", "/")
    for root in (os.path.abspath(folder), os.path.realpath(folder)):
        path = os.path.normpath(os.path.join(root, name))
        if path.startswith(os.path.join(root, "")):
            return Path(path).relative_to(root).as_posix()
    return None


def _beside(folder: Path, skipped: Skipped) -> list[Sample]:
    pictures = pictures_below(folder)
    notes = {
        entry.with_suffix(""): entry
        for parent in dict.fromkeys(p.parent for p in pictures)
        for entry in sorted(parent.iterdir())
        if entry.suffix.lower() == ".txt" and not is_hidden(entry.name) and entry.is_file()
    }
    joined, places = {}, {}
    for path in pictures:
        note = notes.get(path.with_suffix(""))
        if note is None:
            continue
        try:
            if note.stat().st_size > TEXTS:
                raise InputError(f"has more than {TEXTS:,} bytes")
            texts = captions_of(lines(decode(note.read_bytes())))
            joined[_key(path, folder)] = {"captions": texts or None}
            places[_key(path, folder)] = _key(note, folder)
        except (OSError, InputError) as error:
            skipped.add(_key(note, folder), getattr(error, "strerror", None) or error)
    if not joined and not skipped.reasons:
        raise InputError(
            f"data: {folder} has no captions; put them into captions.csv with the columns "
            "image and caption"
        )
    return _made(folder, joined, places, skipped)


def _made(
    folder: Path, joined: dict[str, dict[str, Any]], places: dict[str, str], skipped: Skipped
) -> list[Sample]:
    samples = []
    for key, meta in joined.items():
        try:
            samples.append(sample_of(key, meta, place_of(folder / key)))
        except InputError as error:
            skipped.add(places[key], error)
    if not samples:
        raise InputError(f"data: {folder} has no captions that can be used; {skipped.first()}")
    return samples
