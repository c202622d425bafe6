"""Files of pictures that Pillow does not write: PNG of any depth and chunk, foreign headers."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import ImageCms

GREY, RGB = 0, 2  # colour types of PNG
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def bomb(path: Path, side: int = 60000) -> Path:
    """Write a PNG of a few bytes whose header claims a huge picture."""
    path.write_bytes(_png(side, side, 8, RGB, chunk(b"IDAT", zlib.compress(bytes(100)))))
    return path


def half(path: Path) -> Path:
    """Cut a file off in its middle."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def _png(width: int, height: int, depth: int, kind: int, chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IEND", b"")


def png(pixels: np.ndarray, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a PNG of `pixels` ``[H, W]`` or ``[H, W, 3]``, uint8 or uint16.

    Args:
        before, after: chunks around the pixels.
    """
    height, width = pixels.shape[:2]
    depth, kind = 8 * pixels.itemsize, GREY if pixels.ndim == 2 else RGB
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return _png(width, height, depth, kind, before + chunk(b"IDAT", data) + after)


def srgb_profile() -> bytes:
    """Return the ICC profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """Return a profile in which red stands for green and green for red."""
    profile = srgb_profile()
    table = profile[:400].replace(b"rXYZ", b"tmp_").replace(b"gXYZ", b"rXYZ")
    return table.replace(b"tmp_", b"gXYZ") + profile[400:]
