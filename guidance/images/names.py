"""Names and first bytes of files → whether they are pictures, and whether they can be read."""

from __future__ import annotations

import os
import re
from pathlib import Path

SUFFIXES = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", ".dib", ".gif", ".tif",
     ".tiff", ".ppm", ".pgm", ".pbm", ".jp2", ".j2k", ".avif")
)  # fmt: skip
# pictures of other programs, which are not read here: a prompt that ends so is no text either
FOREIGN = frozenset(
    (".heic", ".heif", ".jxl", ".psd", ".xcf", ".tga", ".ico", ".exr", ".eps", ".svg", ".cr2",
     ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf")
)  # fmt: skip
_ENDING = re.compile(r"[^\s./\\][^/\\]*\.[A-Za-z][A-Za-z0-9]{0,9}")


def is_image_path(path: str | os.PathLike) -> bool:
    """Return whether `path` has a suffix of the image formats read here."""
    return Path(path).suffix.lower() in SUFFIXES


def is_image_name(text: str) -> bool:
    """Return whether a text without white space ends like the name of an image file.

    Of any program: that those of `FOREIGN` cannot be read is said when they are opened.
    """
    return text.lower().endswith((*SUFFIXES, *FOREIGN)) and not re.search(r"\s", text)


def is_named_file(text: str) -> bool:
    """Return whether `text` names an existing file and ends as files do, with a dot and a suffix.

    Whether the file is an image is said when it is opened.
    """
    return bool(_ENDING.fullmatch(os.path.basename(text))) and exists(text)


def exists(path: str, *, folder: bool = False) -> bool:
    """Return whether `path`, which may be any text, is an existing file or else a `folder`."""
    try:
        return Path(path).is_dir() if folder else Path(path).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # too long for a path, or an unknown user
        return False


def foreign_kind(head: bytes) -> str | None:
    """Return what a file that begins with `head` (64 bytes) is, if it is known and not read here.

    Example:
        >>> foreign_kind(b"%PDF-1.7")
        'a PDF'
    """
    if head[4:8] == b"ftyp":
        brand = head[8:12].lower()
        if brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"):
            return "a HEIC photo"
        return "a Canon raw photo" if brand == b"crx " else "a video or of a rare kind"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "an SVG drawing" if re.match(rb"<svg|<\?xml|<!DOCTYPE svg", text) else None


_MAGIC = {
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"8BPS": "a Photoshop file",
    b"gimp xcf": "a GIMP file",
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript file",
    b"v/1\x01": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance HDR image",
    b"\0\0\x01\0": "a Windows icon",
    b"icns": "a macOS icon",
    b"FUJIFILM": "a Fuji raw photo",
    b"II*\0": "a TIFF of a rare kind",
    b"MM\0*": "a TIFF of a rare kind",
    b"version https://git-lfs": "a pointer of Git LFS rather than the file",
    b"<!DOCTYPE html": "a web page",
    b"<html": "a web page",
    b"\x1f\x8b": "a compressed file",
    b"PK\x03\x04": "a ZIP archive",
}
