"""A folder of pictures with one captions file, or with a text file beside each → samples.

The captions file is the first of these that the folder has:

==================================  ==========================================================
``captions.csv``, ``metadata.csv``  a column for the file and one for the caption, comma or tab
``captions.tsv``                    separated; a file may have several lines
``captions.jsonl``,                 one object a line
``metadata.jsonl``
``captions.json``                   ``{"a.jpg": "text" or ["text", ...]}``, a list of objects, or
                                    the ``images``/``annotations`` of COCO captions
``captions.txt``                    ``a.jpg<TAB>text`` or ``a.jpg,text``; Flickr8k's ``a.jpg#0``
``NAME.txt`` beside ``NAME.jpg``    one caption a line, for every picture below the folder
==================================  ==========================================================

The file's column is called image, file, filename, file_name or path; that of the caption caption,
captions, text, title or comment. Others (source, licence, label, ...) are kept as in a shard.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from guidance.data.shards import PICTURES, Sample, sample_of
from guidance.errors import FileError, InputError

NAMES = (
    "captions.csv", "captions.tsv", "captions.jsonl", "captions.json", "captions.txt",
    "metadata.csv", "metadata.jsonl",
)  # fmt: skip
FILE = ("image", "file", "filename", "file_name", "path")
CAPTION = ("captions", "caption", "text", "title", "comment")


def read_folder(folder: Path) -> Iterator[Sample]:
    """Yield the samples of `folder`, those of one picture joined.

    Raises:
        InputError: no captions file, or it names pictures that are not there.
        FileError: the captions file cannot be read.
    """
    source = next((folder / n for n in NAMES if (folder / n).is_file()), None)
    try:
        rows = list(_rows(source) if source else _beside(folder))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise FileError(f"{source or folder} is not a readable captions file: {error}") from None
    if not rows:
        raise InputError(
            f"data: {folder} has no captions; put them into captions.csv with the columns "
            "image and caption"
        )
    joined: dict[str, dict] = {}
    for name, row in rows:
        entry = joined.setdefault(name, {**row, "captions": []})
        entry["captions"] += row["captions"]
    missing = [n for n in joined if not (folder / n).is_file()]
    if missing:
        raise InputError(
            f"data: {len(missing)} of {len(joined)} pictures named in {source} do not exist, "
            f"first {missing[0]!r}"
        )
    for name, row in joined.items():
        path = folder / name
        yield sample_of(name, row, (path, 0, None, path.suffix[1:].lower()))


def _rows(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield picture name and metadata of each line or entry of the captions file at `path`."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix in (".csv", ".tsv"):
        first = text.partition("\n")[0]
        yield from _named(
            csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in first else ",")
        )
    elif path.suffix == ".jsonl":
        yield from _named(json.loads(line) for line in text.splitlines() if line.strip())
    elif path.suffix == ".json":
        yield from _from_json(json.loads(text))
    else:
        for line in filter(None, map(str.strip, text.splitlines())):
            name, mark, caption = line.partition("\t" if "\t" in line else ",")
            if not mark:
                raise ValueError(f"no tab or comma between file and caption in {line[:60]!r}")
            if name.lower() not in FILE:  # a heading
                yield name.partition("#")[0].strip(), {"captions": [caption.strip()]}


def _from_json(data) -> Iterator[tuple[str, dict]]:
    if isinstance(data, dict) and {"images", "annotations"} <= set(data):
        files = {image["id"]: image["file_name"] for image in data["images"]}
        data = [
            {"image": files[a["image_id"]], "caption": a["caption"]} for a in data["annotations"]
        ]
    if isinstance(data, dict):
        data = [{"image": name, "captions": value} for name, value in data.items()]
    if not isinstance(data, list):
        raise ValueError("expected an object or a list")
    yield from _named(data)


def _named(rows: Iterable[dict]) -> Iterator[tuple[str, dict]]:
    """Find the columns for file and caption in each row."""
    for number, row in enumerate(rows, 1):
        keys = {k.strip().lower(): k for k in row if isinstance(k, str)}
        file = next((keys[k] for k in FILE if k in keys), None)
        caption = next((keys[k] for k in CAPTION if k in keys), None)
        if file is None or caption is None:
            raise ValueError(
                f"entry {number} has {', '.join(keys) or 'nothing'} but needs one of "
                f"{', '.join(FILE)} and one of {', '.join(CAPTION)}"
            )
        texts = row[caption]
        texts = [texts] if isinstance(texts, str) else list(texts or ())
        rest = {k: v for k, v in row.items() if k not in (file, caption) and v not in (None, "")}
        yield str(row[file]), {**rest, "captions": [t.strip() for t in texts if t and t.strip()]}


def _beside(folder: Path) -> Iterator[tuple[str, dict]]:
    for path in sorted(folder.rglob("*")):
        note = path.with_suffix(".txt")
        if path.suffix.lower() in PICTURES and note.is_file():
            lines = [line.strip() for line in note.read_text("utf-8").splitlines()]
            yield path.relative_to(folder).as_posix(), {"captions": [t for t in lines if t]}
