"""Captioned pictures on disk: WebDataset tar shards or a folder → `Samples`, and back.

A shard is an uncompressed tar in the WebDataset convention: ``KEY.jpg`` (or another suffix of a
picture) with ``KEY.json`` (``captions`` or ``caption``; optional ``source``, ``license``,
``label``, ``group``, ``weight``, ``tags``) or ``KEY.txt`` (one caption a line); the case of endings
does not matter. A folder has its captions in one file (see `guidance.data.captions_file`) or beside
the pictures. Only the captions are held in memory; pictures are read when they are asked for, from
any thread.
"""

from __future__ import annotations

import glob
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from guidance.data.folder import place_of, read_folder
from guidance.data.samples import Sample, Samples, Skipped
from guidance.data.tars import read_tar
from guidance.errors import FileError, InputError
from guidance.files.writing import atomic
from guidance.images import SUFFIXES

SHARD_BYTES = 38_000_000


def read(paths: Sequence[str], *, captioned: bool = True) -> Samples:
    """Open `paths`: tar files, patterns of tar files, and folders with a captions file.

    Members, files and lines that cannot be used are skipped, with a warning that names each.

    Args:
        captioned: Take the pictures alone that have captions, or a label; without it all pictures
            of a shard or folder, whose captions need not be there, and single files.

    Raises:
        InputError: a path or pattern matches nothing, or holds no (captioned) picture.
        FileError: a file is damaged.
    """
    samples: list[Sample] = []
    for path in (file for pattern in paths for file in find(pattern)):
        skipped = Skipped(path)
        new = _read_one(path, skipped, captioned)
        if not new:
            what = "captioned pictures" if captioned else "pictures"
            reason = f"; {skipped.first()}" if skipped.reasons else ""
            if captioned and not reason:
                reason = ": KEY.jpg with KEY.txt or KEY.json"
            raise InputError(f"data: {path} holds no {what}{reason}")
        skipped.tell(stacklevel=2)
        samples += new
    return Samples(samples)


def _read_one(path: Path, skipped: Skipped, captioned: bool) -> list[Sample]:
    if path.is_dir():
        try:
            return read_folder(path, skipped, captioned=captioned)
        except PermissionError as error:
            raise FileError(f"cannot read {error.filename or path}: {error.strerror}") from error
    suffix = path.suffix.lower()
    if suffix in SUFFIXES and not captioned:
        return [Sample(path.name, (), place=place_of(path))]
    if suffix in SUFFIXES or suffix in (".csv", ".tsv", ".json", ".jsonl", ".txt"):
        raise InputError(f"data: {path} is no tar shard; name its folder {path.parent}")
    return read_tar(path, skipped, captioned=captioned)


def find(pattern: str, option: str = "data") -> list[Path]:
    """Return the existing files or folders that `pattern` means, without hidden ones.

    Raises:
        InputError: there is none.
    """
    try:
        exact = Path(pattern).exists()
        found = [Path(pattern)] if exact else sorted(map(Path, glob.glob(pattern)))
    except (OSError, ValueError):  # too long for a path, or with NUL
        found = []
    if not found:
        raise InputError(f"{option}: nothing matches {pattern!r}; name tar files or a folder")
    return found


class ShardWriter:
    """Writes samples into ``NAME-000.tar``, ``NAME-001.tar``, ... of a folder.

    The same samples give the same bytes. Use it as a context manager.
    """

    def __init__(self, folder: Path, name: str, limit: int = SHARD_BYTES) -> None:
        self.folder, self.name, self.limit = folder, name, limit
        self.count, self._shard, self._size = 0, 0, 0
        self._tar: tarfile.TarFile | None = None
        self._context: Any = None

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *error) -> None:
        self._close(*error)

    def add(self, sample: Sample, picture: bytes, ending: str = "jpg") -> None:
        """Append `sample` with the encoded `picture`."""
        tar = self._tar
        if tar is None or self._size > self.limit:
            tar = self._open()
        meta = {
            "captions": list(sample.captions), "source": sample.source, "license": sample.licence,
            "label": sample.label, "group": sample.group, "weight": sample.weight,
            "tags": list(sample.tags),
        }  # fmt: skip
        text = json.dumps({k: v for k, v in meta.items() if v or k == "captions"})
        for name, data in ((f"{sample.key}.{ending}", picture), (f"{sample.key}.json", text)):
            data = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            self._size += len(data) + 1024
        self.count += 1

    def _open(self) -> tarfile.TarFile:
        self._close(None, None, None)
        self._context = atomic(self.folder / f"{self.name}-{self._shard:03}.tar")
        self._tar = tarfile.TarFile(self._context.__enter__(), "w")
        self._shard, self._size = self._shard + 1, 0
        return self._tar

    def _close(self, *error) -> None:
        if self._tar is not None:
            self._tar.close()
            self._context.__exit__(*error)
            self._tar = None


def encode(image: Image.Image) -> tuple[bytes, str]:
    """Return `image` as bytes and file ending: JPEG, or PNG if it has transparency."""
    out = io.BytesIO()
    if image.mode == "RGBA":
        image.save(out, "PNG")
        return out.getvalue(), "png"
    image.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue(), "jpg"
