"""Pictures and tar files for the tests of shards, also ones that `tarfile` would not write."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

Entry = tuple[str | tarfile.TarInfo, bytes | str]


def picture(colour, size=(20, 10), kind="PNG") -> bytes:
    """Return an encoded picture of one colour."""
    out = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(out, kind)
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return the header of a member of another kind than a file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def tar_bytes(entries: Iterable[Entry], mode: str = "w") -> bytes:
    """Return a tar of `entries`, names or headers with their contents, in order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, data in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = data if isinstance(data, bytes) else data.encode()
            info.size = len(data) if info.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def write_tar(path: Path, entries, mode: str = "w") -> Path:
    """Write a tar of `entries`: pairs, or a dictionary of them."""
    pairs = entries.items() if isinstance(entries, dict) else entries
    path.write_bytes(tar_bytes(pairs, mode))
    return path


def header(name: str, size: int, kind: bytes) -> bytes:
    """Return the 512 bytes of a header that claims any `size`, also a negative one."""
    info = member(name, kind)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    field = b"%011o\0" % size if 0 <= size < 8**11 else b""
    head[124:136] = field or bytes([0xFF if size < 0 else 0x80]) + (size % 2**88).to_bytes(
        11, "big"
    )
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 8 * 32 + sum(head[156:512]))
    return bytes(head)


def block(data: bytes) -> bytes:
    """Return `data` with a header's padding."""
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)
