"""A tar shard → samples. Nothing is unpacked, and no header can ask for much work or memory."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from guidance.data.captions import captions_of, parse_json
from guidance.data.samples import Sample, Skipped, sample_of
from guidance.errors import FileError, InputError
from guidance.files.text import decode, lines
from guidance.images import SUFFIXES
from guidance.images.collect import is_hidden
from guidance.images.names import FOREIGN

HEADERS = 131_072  # bytes of the headers of one member: long names, attributes
TEXTS = 1_048_576  # bytes of the captions or the metadata of one picture
PICTURE = 268_435_456  # bytes of one encoded picture
KNOWN = SUFFIXES | FOREIGN | {".json", ".txt"}
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd",
           b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR"}  # fmt: skip


def read_tar(path: Path, skipped: Skipped, *, captioned: bool = True) -> list[Sample]:
    """Return the samples of one shard, in its order.

    Args:
        skipped: Is told which members cannot be used; of members that are no pictures, captions or
            metadata, and of hidden ones, nothing is said.
        captioned: Take the pictures alone that have captions or metadata, rather than all.

    Raises:
        FileError: not a tar file, compressed, or damaged.
    """
    if not path.is_file():
        raise FileError(f"{path} is not a regular file")
    parts: dict[str, dict[str, tuple[str, Any]]] = {}
    try:
        with path.open("rb") as file:
            _check_kind(file)
            for member in _members(file):
                _take(member, path, file, parts, skipped)
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} is not a readable, uncompressed tar shard: {reason}") from None
    return list(_joined(parts, skipped, captioned))


class _Headers:
    """The file as `tarfile` sees it, which reads nothing but headers from it.

    They may claim any length, and Python before 3.11.10 and 3.12.6 takes time that grows as the
    square of the length of records that are none.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.left, self.last = file, HEADERS, b""
        self._next = b""  # type of the header whose content is read next

    def read(self, size: int = -1) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise InputError(f"a member has headers of more than {HEADERS:,} bytes")
        self.last = self.file.read(size)
        if self._next:
            if self._next in b"xgX":
                _check_records(self.last)
            self._next = b""
        elif size == tarfile.BLOCKSIZE and self.last[156:157] in (b"x", b"g", b"X", b"L", b"K"):
            self._next = self.last[156:157]
        return self.last

    def seek(self, place: int, whence: int = 0) -> int:
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()


def _check_records(data: bytes) -> None:
    """Raise `InputError` unless these are records of pax: ``LENGTH NAME=VALUE`` and a line feed."""
    start = 0
    while start < len(data) and data[start]:
        length = data[start : start + 8].partition(b" ")[0]
        end = start + int(length) if length.isdigit() else start
        if end <= start or data[end - 1 : end] != b"\n" or b"=" not in data[start:end]:
            raise InputError("a member has a damaged header")
        start = end
    if re.search(rb"\d{100}", data):
        raise InputError("a member has a header with an endless number")


def _check_kind(file: BinaryIO) -> None:
    head = file.read(8)
    file.seek(0)
    for mark, name in _PACKED.items():
        if head.startswith(mark):
            raise InputError(f"it is compressed ({name}); unpack it once and name the .tar")
    if not head:
        raise InputError("it is empty")


def _members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    headers, before = _Headers(file), -1
    try:
        with tarfile.open(fileobj=cast(IO[bytes], headers), mode="r:") as tar:
            for member in tar:
                if member.offset <= before or member.size < 0:  # it would go in circles
                    raise InputError(f"the member {member.name!r} has an impossible size")
                before, headers.left = member.offset, HEADERS
                yield member
    except (InputError, OSError):
        raise
    except tarfile.TarError as error:
        raise InputError(str(error)) from None
    except Exception:  # tarfile lets through what int(), split() and its own recursion raise
        raise InputError("a member has a damaged header") from None
    if headers.last.strip(b"\0"):  # it stops at what is no header as at the end
        raise InputError(f"it is damaged at byte {file.tell() - len(headers.last):,}")


def _take(
    member: tarfile.TarInfo,
    path: Path,
    file: BinaryIO,
    parts: dict[str, dict[str, tuple[str, Any]]],
    skipped: Skipped,
) -> None:
    """Put a picture's place or a text into `parts`: key → kind → name and content."""
    name = member.name
    key, ending = _split(name)
    if is_hidden(name) or not ending or member.isdir():
        return
    if f".{ending.lower()}" in FOREIGN:
        parts.setdefault(key, {})["foreign"] = (name, None)
        return
    most = PICTURE if f".{ending.lower()}" in SUFFIXES else TEXTS
    if not member.isreg():
        skipped.add(name, "is a link or a device")
    elif member.issparse():
        skipped.add(name, "is stored with holes (sparse)")
    elif member.size > most:
        skipped.add(name, f"has {member.size:,} bytes, more than {most:,}")
    else:
        if most == PICTURE:
            kind, content = "picture", (path, member.offset_data, member.size, ending)
        else:
            file.seek(member.offset_data)
            kind, content = ending.lower(), _text(file.read(member.size))
        part = parts.setdefault(key, {})
        if kind in part and part[kind][0] != name:
            skipped.add(part[kind][0], f"gives way to {name}, which comes later")
        part[kind] = (name, content)


def _text(data: bytes) -> str | InputError:
    """Decode at once: what is no text, such as the holes of a sparse file, is not kept."""
    try:
        return decode(data)
    except InputError as error:
        return InputError(str(error))  # without its traceback, which holds the data


def _split(name: str) -> tuple[str, str]:
    """Return key and ending of a member; no ending if it is of no concern.

    The name ends at its first dot, as in WebDataset, so that "1.seg.png" is no picture of "1"; a
    dot within a name ("1.5.jpg") makes a key of its own.
    """
    folder, _, base = name.rpartition("/")
    for stem, dot, ending in (base.partition("."), base.rpartition(".")):
        if dot and f".{ending.lower()}" in KNOWN:
            return str(PurePosixPath(folder, stem)), ending
    return "", ""


def _joined(
    parts: dict[str, dict[str, tuple[str, Any]]], skipped: Skipped, captioned: bool
) -> Iterator[Sample]:
    for key, part in parts.items():
        name, _ = part.pop("foreign", ("", None))
        if name and "picture" not in part and (part or not captioned):
            skipped.add(name, "is of a format that is not read here")
        if "picture" not in part or (captioned and len(part) == 1):
            continue
        place = part["picture"][1]
        told = next((part[k][0] for k in ("json", "txt") if k in part), "")
        try:
            yield sample_of(key, _meta(part), place)
        except InputError as error:
            if captioned:
                skipped.add(told, error)
            else:
                yield Sample(key, (), place=place)


def _meta(part: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """Return the metadata; captions of the text file count where it has none."""
    if len(part) == 1:  # a picture alone
        return {"captions": []}
    for kind in ("json", "txt"):
        if kind in part and isinstance(part[kind][1], InputError):
            raise part[kind][1]
    meta: Any = parse_json(part["json"][1]) if "json" in part else {}
    if isinstance(meta, str | list):  # captions alone
        meta = {"captions": meta}
    if not isinstance(meta, dict):
        raise InputError("is JSON but no object")
    if all(meta.get(k) is None for k in ("captions", "caption")):
        texts = captions_of(lines(part["txt"][1])) if "txt" in part else ()
        if texts:
            meta["captions"] = texts
        elif "text" in meta:
            meta["captions"] = meta["text"]
    return meta
