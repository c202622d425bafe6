"""Files, bytes and PIL images → RGB images, safely.

Untrusted files end here: size limits are checked before any pixel is decoded.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from guidance.errors import FileError
from guidance.images.modes import to_rgb
from guidance.images.names import foreign_kind
from guidance.images.png import without_extras

MAX_PIXELS = 100_000_000  # about the largest camera sensors; 300 MB decoded
# Pillow's other decoders are left out: they are rare, little tested, or start programs (EPS).
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")

Source = str | os.PathLike | Image.Image | bytes | BinaryIO


def load_image(
    source: Source,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    min_side: int | None = None,
    alpha: bool = False,
) -> Image.Image:
    """Open one image as RGB in 8 bits of sRGB, by the rules of `guidance.images`.

    Turned as its EXIF says, transparency laid over white, colours by its profile; of an animation
    the first frame, of several pages the first. Safe to call from several threads at once.

    Args:
        source: a path, the bytes of a file, an open binary file that can be sought, or an open
            PIL image; the last two are left open.
        name: what messages call the image; a path is called by itself.
        max_pixels: larger images are refused before they are decoded.
        min_side: allow the image to be shrunk by a whole factor while its sides stay at least
            this long, in pixels; a JPEG decoder does so several times faster than it decodes.
        alpha: return RGBA, rather than RGB, of an image that has transparency.

    Raises:
        FileError: missing, not an image, damaged, truncated, or too large.
    """
    name = _name(source, name)
    with hide_warnings(), named_errors(source, name, max_pixels):
        try:
            image = _decode(source, name, max_pixels, min_side)
        except ValueError:  # so Pillow refuses a PNG for what it carries along after its pixels
            if isinstance(source, Image.Image) or not (light := without_extras(_bytes(source))):
                raise
            image = _decode(light, name, max_pixels, min_side)
        return _shrink(to_rgb(image, name, alpha=alpha), min_side)


def check_image(source: str | os.PathLike | bytes | BinaryIO, *, name: str | None = None) -> None:
    """Raise `FileError` for what is no image by its first bytes; its pixels are not decoded."""
    name = _name(source, name)
    with hide_warnings(), named_errors(source, name, MAX_PIXELS), open_image(source, name):
        pass


def _name(source: Source, name: str | None) -> str:
    if name is not None:
        return name
    return str(source) if isinstance(source, str | os.PathLike) else "the image"


@contextlib.contextmanager
def named_errors(source: Source, name: str, max_pixels: int) -> Generator[None]:
    """Turn whatever a decoder raises into one `FileError` that names the image."""
    try:
        yield
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"{name} does not exist") from None
    except UnidentifiedImageError:
        raise FileError(f"{name} {_what_else(source)}") from None
    except Image.DecompressionBombError:
        raise FileError(f"{name} has more than {max_pixels:,} pixels") from None
    except MemoryError:
        raise FileError(f"{name} does not fit into memory") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, ...
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FileError(f"{name} cannot be read: {reason.splitlines()[0]}") from error


@contextlib.contextmanager
def hide_warnings() -> Generator[None]:
    """Hide Pillow's warnings about damaged files; what matters is raised as an error.

    The filters of `warnings` belong to the whole process, so the first thread to enter sets them
    and the last to leave restores them. A caller that decodes in worker threads should hold this
    around their whole life.
    """
    with _hidden.lock:
        if _hidden.depth == 0:
            _hidden.saved = warnings.catch_warnings()
            _hidden.saved.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        _hidden.depth += 1
    try:
        yield
    finally:
        with _hidden.lock:
            _hidden.depth -= 1
            if _hidden.depth == 0 and _hidden.saved is not None:
                _hidden.saved.__exit__(None, None, None)


class _Hidden:
    """How many threads are inside `hide_warnings`, and the filters from before."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.saved: warnings.catch_warnings | None = None


_hidden = _Hidden()


def _formats() -> list[str]:
    """Return the formats of `FORMATS` that this build of Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _decode(source: Source, name: str, max_pixels: int, min_side: int | None) -> Image.Image:
    """Return the pixels of `source` in the mode of the file, upright."""
    with contextlib.ExitStack() as stack:
        own = not isinstance(source, Image.Image)
        image = stack.enter_context(open_image(source, name)) if own else source
        if image.width * image.height > max_pixels:
            raise FileError(
                f"{name} has {image.width}x{image.height} pixels, more than {max_pixels:,}"
            )
        if min_side is not None and own and image.format in ("JPEG", "MPO"):
            image.draft("RGB", (min_side, min_side))
        image.load()
        return _upright(image, own=own)


def open_image(source: str | os.PathLike | bytes | BinaryIO, name: str) -> Image.Image:
    """Open a file of the formats that are read here; nothing of its pixels is decoded yet.

    For `load_image` and for films; Pillow's errors are passed on, but for the one about the size of
    what a PNG carries along before its pixels: that is passed over.
    """
    if isinstance(source, bytes):
        if not source:
            raise FileError(f"{name} is empty")
        source = io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        check_file(Path(source), name)
    try:
        image = Image.open(source, formats=_formats())
    except ValueError:
        light = without_extras(_bytes(source))
        if light is None:
            raise
        return Image.open(io.BytesIO(light), formats=_formats())
    if image.format == "WEBP" and getattr(image, "is_animated", False) and image.mode == "RGB":
        image.close()
        return Image.open(io.BytesIO(_with_alpha(_bytes(source))), formats=_formats())
    return image


def _with_alpha(webp: bytes) -> bytes:
    """Return an animated WebP that says it may be clear.

    Where none of its frames reaches, it is, but encoders say so only of clear pixels in a frame.
    """
    flags = bytearray(webp)
    flags[20] |= 0x10  # of the VP8X chunk, which comes first
    return bytes(flags)


def _what_else(source: Source) -> str:
    """Say what a file is that no decoder knows."""
    kind = None if isinstance(source, Image.Image) else foreign_kind(_bytes(source, 64))
    known = "is not an image of a known format"
    return known if kind is None else f"{known} but {kind}; save it as PNG or JPEG"


def _bytes(source: str | os.PathLike | bytes | BinaryIO, count: int = -1) -> bytes:
    """Return the first `count` bytes of a file, all by default."""
    if isinstance(source, bytes):
        return source if count < 0 else source[:count]
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return file.read(count)
    source.seek(0)
    return source.read(count)


def check_file(path: Path, name: str) -> None:
    """Raise `FileError` for what would hang (a pipe, a device) or give an unclear message."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise FileError(f"{name} is a folder, not an image")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{name} is not a regular file")
    if status.st_size == 0:
        raise FileError(f"{name} is empty")


def _upright(image: Image.Image, *, own: bool) -> Image.Image:
    """Return `image` turned as its EXIF says, itself if it is our `own`; damaged EXIF is ignored.

    Our own image keeps what its file says of its numbers.
    """
    try:
        turned = ImageOps.exif_transpose(image, in_place=own)
    except Exception:  # any of the parsers' errors; the picture itself was decoded
        return image
    return image if turned is None else turned


def _shrink(image: Image.Image, min_side: int | None) -> Image.Image:
    factor = 1 if min_side is None else min(image.size) // min_side
    return image.reduce(factor) if factor > 1 else image
