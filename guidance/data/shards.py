"""Captioned pictures on disk: WebDataset tar shards or a folder → `Samples`, and back.

A shard is an uncompressed tar in the WebDataset convention: ``KEY.jpg`` (or .jpeg, .png, .webp)
with ``KEY.json`` (``captions`` or ``caption``; optional ``source``, ``license``, ``label``,
``group``, ``weight``, ``tags``) or ``KEY.txt`` (one caption a line). A folder has its captions in
one file (see `guidance.data.folder`). Only the captions are held in memory; pictures are read
when they are asked for, from any thread.
"""

from __future__ import annotations

import glob
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from guidance.errors import FileError, InputError
from guidance.files import atomic

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
SHARD_BYTES = 38_000_000
Place = tuple[Path, int, int | None, str]


@dataclass(frozen=True)
class Sample:
    """What is known of one picture; its pixels stay on disk.

    Attributes:
        key: Name, unique within its shard.
        captions: Any of them may be shown; none at all for a picture of nothing.
        source: Data set it comes from.
        licence: Terms, in short.
        label: Class, if it has one.
        group: Pictures of one group match each other's captions; empty for none.
        weight: How often it is drawn, relative to others.
        tags: Further words for the sampling weights of a training.
        place: File, first byte, length in bytes (None for the whole file) and kind ("jpg").
    """

    key: str
    captions: tuple[str, ...]
    source: str = ""
    licence: str = ""
    label: str = ""
    group: str = ""
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    place: Place = (Path(), 0, None, "")


class Samples(Sequence[Sample]):
    """Samples with access to their pictures."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def image(self, index: int) -> Image.Image:
        """Decode one picture: mode RGB, or RGBA if it has transparency.

        Raises:
            FileError: the file is gone or is no picture.
        """
        sample = self._samples[index]
        path = sample.place[0]
        try:
            image = Image.open(io.BytesIO(self.raw(index)[0]))
            clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            return image.convert("RGBA" if clear else "RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise FileError(f"{path}: the picture {sample.key!r} cannot be read: {error}") from None

    def raw(self, index: int) -> tuple[bytes, str]:
        """Return the bytes of one picture as they lie on disk, and the ending of its name."""
        path, start, length, ending = self._samples[index].place
        with path.open("rb") as file:
            file.seek(start)
            return (file.read() if length is None else file.read(length)), ending

    def where(self, keep) -> Samples:
        """Return the samples for which ``keep(sample)`` is true."""
        return Samples(s for s in self._samples if keep(s))

    def texts(self) -> list[str]:
        """Return all different captions in order of appearance."""
        return list(dict.fromkeys(c for s in self._samples for c in s.captions))


def read(paths: Sequence[str]) -> Samples:
    """Open `paths`: tar files, patterns of tar files, and folders with a captions file.

    Raises:
        InputError: a path or pattern matches nothing, or holds no captioned picture.
        FileError: a file is damaged.
    """
    from guidance.data.folder import read_folder

    samples: list[Sample] = []
    for pattern in paths:
        found = [Path(pattern)] if Path(pattern).exists() else sorted(map(Path, glob.glob(pattern)))
        if not found:
            raise InputError(f"data: nothing matches {pattern!r}; name tar files or a folder")
        for path in found:
            new = list(read_folder(path) if path.is_dir() else read_tar(path))
            if not new:
                raise InputError(f"data: {path} holds no captioned pictures")
            samples += new
    return Samples(samples)


def read_tar(path: Path) -> Iterator[Sample]:
    """Yield the samples of one shard, in its order.

    Raises:
        FileError: not a tar file, compressed, or with a damaged entry.
    """
    parts: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                name = PurePosixPath(member.name)
                stem, _, ending = name.name.partition(".")
                part = parts.setdefault(str(name.with_name(stem)), {})
                if f".{ending.lower()}" in PICTURES:
                    part["place"] = (path, member.offset_data, member.size, ending)
                elif ending in ("json", "txt"):
                    part[ending] = tar.extractfile(member).read().decode("utf-8")
        for key, part in parts.items():
            if "place" in part and ("json" in part or "txt" in part):
                meta = json.loads(part["json"]) if "json" in part else {}
                lines = [line.strip() for line in part.get("txt", "").splitlines()]
                if not {"caption", "captions"} & set(meta):
                    meta["captions"] = [line for line in lines if line]
                yield sample_of(key, meta, part["place"])
    except (tarfile.TarError, UnicodeDecodeError, json.JSONDecodeError, OSError) as error:
        raise FileError(f"{path} is not a readable, uncompressed tar shard: {error}") from None


def sample_of(key: str, meta: dict[str, Any], place: Place) -> Sample:
    """Build a sample from the metadata of a shard or of a line of a captions file."""
    captions = meta.get("captions", meta.get("caption", ()))
    captions = [captions] if isinstance(captions, str) else list(captions)
    if not all(isinstance(c, str) for c in captions):
        raise FileError(f"{place[0]}: the captions of {key!r} are not text")
    return Sample(
        key=key,
        captions=tuple(dict.fromkeys(captions)),
        source=str(meta.get("source", "")),
        licence=str(meta.get("licence", meta.get("license", ""))),
        label=str(meta.get("label", "")),
        group=str(meta.get("group", "")),
        weight=float(meta.get("weight", 1.0)),
        tags=tuple(meta.get("tags", ())),
        place=place,
    )


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
        if self._tar is None or self._size > self.limit:
            self._open()
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
            self._tar.addfile(member, io.BytesIO(data))
            self._size += len(data) + 1024
        self.count += 1

    def _open(self) -> None:
        self._close(None, None, None)
        self._context = atomic(self.folder / f"{self.name}-{self._shard:03}.tar")
        self._tar = tarfile.TarFile(self._context.__enter__(), "w")
        self._shard, self._size = self._shard + 1, 0

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
