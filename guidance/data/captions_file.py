"""The file of captions of a folder → the picture each entry names, and its metadata.

==================================  ==========================================================
``captions.csv``, ``metadata.csv``  a column for the file and one for the caption, with commas,
``captions.tsv``                    tabs, semicolons or bars; a file may have several lines
``captions.jsonl``,                 one object a line
``metadata.jsonl``
``captions.json``                   ``{"a.jpg": "text" or ["text", ...]}``, a list of objects, or
                                    the ``images``/``annotations`` of COCO captions
``captions.txt``                    ``a.jpg<TAB>text`` or ``a.jpg,text``; Flickr8k's ``a.jpg#0``
==================================  ==========================================================

The file's column is called image, file, filename, file_name, path and the like; that of the
caption caption, captions, text, title, ... Others (source, licence, label, ...) are kept.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guidance.data.captions import captions_of, parse_json, tidy
from guidance.data.samples import Skipped
from guidance.errors import FileError, InputError
from guidance.files.tables import plain
from guidance.files.text import decode, lines

NAMES = (
    "captions.csv", "captions.tsv", "captions.jsonl", "captions.json", "captions.txt",
    "metadata.csv", "metadata.jsonl",
)  # fmt: skip
FILE = (
    "image", "file", "filename", "file_name", "path", "filepath", "file_path", "image_path",
    "image_name", "image_file",
)  # fmt: skip
CAPTION = ("captions", "caption", "text", "title", "comment", "description", "prompt")
LARGEST = 1_000_000_000  # bytes
DELIMITERS = ",\t;|"
Entry = tuple[str, str, dict[str, Any]]  # where it stands, the picture it names, metadata
Row = tuple[str, Any]  # where it stands, what stands there


def read_captions(path: Path, skipped: Skipped) -> list[Entry]:
    """Return the entries of a captions file; those that cannot be used are `skipped`.

    Raises:
        FileError: it cannot be read, or no entry can be used.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"it has more than {LARGEST:,} bytes")
        text = decode(path.read_bytes())
        entries = list(_entries(_rows(path.suffix.lower(), text, skipped), skipped))
        if not entries and skipped.reasons:
            raise InputError(skipped.first())
    except (OSError, InputError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} is not a readable captions file: {reason}") from None
    return entries


def _rows(suffix: str, text: str, skipped: Skipped) -> Iterator[Row]:
    if suffix in (".csv", ".tsv"):
        yield from _table(text, skipped)
    elif suffix == ".jsonl":
        yield from _json_lines(text, skipped)
    elif suffix == ".json":
        yield from _from_json(parse_json(text), skipped)
    else:
        yield from _pairs(text, skipped)


def _entries(rows: Iterator[Row], skipped: Skipped) -> Iterator[Entry]:
    """Find file and captions in each row."""
    for where, row in rows:
        try:
            yield where, *_entry(row)
        except InputError as error:
            skipped.add(where, error)


def _entry(row: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(row, dict):
        raise InputError("is no object with a file and a caption")
    keys = {k.strip().lower(): k for k in reversed(row) if isinstance(k, str)}
    file = next((keys[k] for k in FILE if k in keys), None)
    caption = next((keys[k] for k in CAPTION if k in keys), None)
    if file is None or caption is None:
        raise InputError(
            f"has {', '.join(reversed(keys)) or 'nothing'} but needs one of {', '.join(FILE)} and "
            f"one of {', '.join(CAPTION)}"
        )
    name = tidy(str(row[file])) if isinstance(row[file], str | int) else ""
    if not name:
        raise InputError("names no picture")
    captions: Any = row[caption]
    if captions != []:  # none on purpose
        captions = captions_of(captions) or None
    rest = {keys[k]: row[keys[k]] for k in keys if keys[k] not in (file, caption)}
    return name, {**{k: v for k, v in rest.items() if v != ""}, "captions": captions}


def _table(text: str, skipped: Skipped) -> Iterator[Row]:
    first, _, rest = text.partition("\n")
    if re.fullmatch(r"sep=.\r?", first):  # Excel's
        text = rest
    delimiter = max(DELIMITERS, key=lambda d: _fitness(text, d))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head = next(reader, [])
        last = head[-1].strip().lower() if head else ""
        for cells in reader:
            where = f"line {reader.line_num}"
            if len(cells) > len(head) and last in CAPTION:  # a caption with bare commas
                cells[len(head) - 1 :] = [delimiter.join(cells[len(head) - 1 :])]
            if any(cells[len(head) :]):
                skipped.add(where, f"has {len(cells)} cells but the heading {len(head)}")
            elif any(cell.strip() for cell in cells):
                cells += [""] * (len(head) - len(cells))
                yield where, dict(zip(head, map(plain, cells), strict=False))
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: {error}") from None


def _fitness(text: str, delimiter: str) -> tuple[bool, int]:
    """Return how well the heading is divided by `delimiter`: known columns, their number."""
    try:
        head = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return False, 0
    names = {cell.strip().lower() for cell in head}
    return bool(names & set(FILE) and names & set(CAPTION)), len(head)


def _json_lines(text: str, skipped: Skipped) -> Iterator[Row]:
    for number, line in enumerate(lines(text), 1):
        if line.strip():
            try:
                yield f"line {number}", parse_json(line)
            except InputError as error:
                skipped.add(f"line {number}", error)


def _from_json(data: Any, skipped: Skipped) -> Iterator[Row]:
    if isinstance(data, dict) and {"images", "annotations"} <= set(data):
        yield from _coco(data, skipped)
    elif isinstance(data, dict):
        for name, value in data.items():
            value = value if isinstance(value, dict) else {"captions": value}
            yield repr(name), {"image": name, **value}
    elif isinstance(data, list):
        for number, value in enumerate(data, 1):
            yield f"entry {number}", value
    else:
        raise InputError("expected an object or a list")


def _coco(data: dict[str, Any], skipped: Skipped) -> Iterator[Row]:
    images, annotations = data["images"], data["annotations"]
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise InputError("images and annotations must be lists")
    files = {
        repr(image["id"]): image["file_name"]
        for image in images
        if isinstance(image, dict) and {"id", "file_name"} <= set(image)
    }
    for number, note in enumerate(annotations, 1):
        where = f"annotation {number}"
        if not isinstance(note, dict) or not {"image_id", "caption"} <= set(note):
            skipped.add(where, "has no image_id or no caption")
        elif (name := files.get(repr(note["image_id"]))) is None:
            skipped.add(where, "is of an image that is not listed")
        else:
            yield where, {"image": name, "caption": note["caption"]}


def _pairs(text: str, skipped: Skipped) -> Iterator[Row]:
    for number, line in enumerate(lines(text), 1):
        line = line.strip()
        mark = "\t" if "\t" in line else ","
        name, found, caption = (part.strip() for part in line.partition(mark))
        if line and not found and mark == ",":
            skipped.add(f"line {number}", "has no tab or comma between file and caption")
        elif line and name.lower() not in FILE:  # a heading
            if mark == "," and len(caption) > 1 and caption[0] == caption[-1] == '"':
                caption = caption[1:-1].replace('""', '"')
            name = re.sub(r"#\d+$", "", name).strip()
            yield f"line {number}", {"image": name, "caption": caption}
