"""Files, PIL images and arrays → image tensors ``[1, 3, H, W]`` in [0, 1], safely.

Untrusted files end here: size limits are checked before any pixel is decoded.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from guidance.conventions import check_images
from guidance.errors import FileError, InputError

MAX_PIXELS = 100_000_000  # about the largest camera sensors; 300 MB decoded
SUFFIXES = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm",
     ".jp2", ".avif")
)  # fmt: skip
# Pillow's other decoders are left out: they are rare, little tested, or start programs (EPS).
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
# Several frames of these are an animation; of TIFF they are pages, of MPO a phone's extra views.
ANIMATED = frozenset(("PNG", "GIF", "WEBP", "AVIF"))

ImageLike = str | os.PathLike | Image.Image | Tensor


def load_image(
    source: str | os.PathLike | Image.Image | bytes | BinaryIO,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    min_side: int | None = None,
    animated: bool = True,
) -> Image.Image:
    """Open one image as RGB: rotated as its EXIF says, transparency laid over white.

    Safe to call from several threads at once.

    Args:
        source: a path, the bytes of a file, an open binary file that can be sought, or an open
            PIL image; the last two are left open.
        name: what messages call the image; a path is called by itself.
        max_pixels: larger images are refused before they are decoded.
        min_side: allow the image to be shrunk by a whole factor while its sides stay at least
            this long, in pixels; a JPEG decoder does so several times faster than it decodes.
        animated: take the first frame of an animation rather than refuse it.

    Raises:
        FileError: missing, not an image, damaged, truncated, too large, or refused as animated.
    """
    if name is None:
        name = str(source) if isinstance(source, str | os.PathLike) else "the image"
    try:
        with hide_warnings(), contextlib.ExitStack() as stack:
            image = source
            if not isinstance(source, Image.Image):
                image = stack.enter_context(_open(source, name))
            if image.width * image.height > max_pixels:
                raise FileError(
                    f"{name} has {image.width}x{image.height} pixels, more than {max_pixels:,}"
                )
            if not animated and image.format in ANIMATED and getattr(image, "is_animated", False):
                raise FileError(f"{name} is animated")
            if min_side is not None and image is not source and image.format in ("JPEG", "MPO"):
                image.draft("RGB", (min_side, min_side))
            return _shrink(_flatten(_upright(image), name), min_side)
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"{name} does not exist") from None
    except UnidentifiedImageError:
        raise FileError(f"{name} is not an image of a known format") from None
    except Image.DecompressionBombError:
        raise FileError(f"{name} has more than {max_pixels:,} pixels") from None
    except MemoryError:
        raise FileError(f"{name} does not fit into memory") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, ...
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FileError(f"{name} cannot be read: {reason.splitlines()[0]}") from error


@contextlib.contextmanager
def hide_warnings() -> Iterator[None]:
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
            if _hidden.depth == 0:
                _hidden.saved.__exit__(None, None, None)


class _Hidden:
    """How many threads are inside `hide_warnings`, and the filters from before."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.saved: warnings.catch_warnings | None = None


_hidden = _Hidden()


def to_tensor(image: Image.Image) -> Tensor:
    """Convert a PIL image to a tensor ``[1, 3, H, W]`` float32 in [0, 1]."""
    array = np.asarray(image.convert("RGB"), dtype=np.uint8)
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 255


def to_pil(image: Tensor) -> Image.Image:
    """Convert one image ``[3, H, W]`` or ``[1, 3, H, W]`` in [0, 1] to 8-bit PIL, rounding."""
    if image.ndim == 4 and len(image) == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] != 3:
        raise InputError(f"image must have shape [3, H, W] but has {list(image.shape)}")
    array = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(array.permute(1, 2, 0).cpu().numpy())


def as_tensor(image: ImageLike) -> Tensor:
    """Convert any accepted form of one image to ``[1, 3, H, W]`` in [0, 1].

    A tensor may be ``[3, H, W]`` or ``[1, 3, H, W]``; it is returned as it is, with its gradient.
    """
    if isinstance(image, Tensor):
        image = image[None] if image.ndim == 3 else image
        check_images("image", image)
        if len(image) != 1:
            raise InputError(f"image must have shape [3, H, W] but has {list(image.shape)}")
        return image
    if isinstance(image, str | os.PathLike | Image.Image):
        return to_tensor(load_image(image))
    raise InputError(f"an image must be a path, PIL image or tensor but is {type(image).__name__}")


def is_image_path(path: str | os.PathLike) -> bool:
    """Return whether `path` has a suffix of the image formats read here."""
    return Path(path).suffix.lower() in SUFFIXES


def is_image_name(text: str) -> bool:
    """Return whether a text without white space ends like the name of an image file."""
    return text.lower().endswith(tuple(SUFFIXES)) and not re.search(r"\s", text)


def is_image_file(text: str) -> bool:
    """Return whether `text` is the path of an existing file with the suffix of an image."""
    return text.lower().endswith(tuple(SUFFIXES)) and is_image_path(text) and exists(text)


def exists(path: str, *, folder: bool = False) -> bool:
    """Return whether `path`, which may be any text, is an existing file or else a `folder`."""
    try:
        return Path(path).is_dir() if folder else Path(path).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # too long for a path, or an unknown user
        return False


def _formats() -> list[str]:
    """Return the formats of `FORMATS` that this build of Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _open(source: str | os.PathLike | bytes | BinaryIO, name: str) -> Image.Image:
    """Open an image of the formats that are read here; nothing of its pixels is decoded yet."""
    if isinstance(source, bytes):
        if not source:
            raise FileError(f"{name} is empty")
        source = io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        _check_file(Path(source), name)
    return Image.open(source, formats=_formats())


def _check_file(path: Path, name: str) -> None:
    """Raise `FileError` for what would hang (a pipe, a device) or give an unclear message."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise FileError(f"{name} is a folder, not an image")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{name} is not a regular file")
    if status.st_size == 0:
        raise FileError(f"{name} is empty")


def _upright(image: Image.Image) -> Image.Image:
    """Return `image` rotated as its EXIF says; damaged EXIF is ignored, damaged pixels are not."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # any of the parsers' errors; the picture itself was decoded
        return image


def _flatten(image: Image.Image, name: str) -> Image.Image:
    """Return `image` as RGB, transparency laid over white, high bit depths scaled to 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        array = np.asarray(image, dtype=np.float64)
        if not np.isfinite(array).all():
            raise FileError(f"{name} holds values that are not finite")
        most = array.max(initial=0)
        if image.mode == "F":
            top = 1.0 if most <= 1 else 255.0 if most <= 255 else 65535.0
        else:  # plain "I" does not tell its depth
            top = 255.0 if image.mode == "I" and most <= 255 else 65535.0
        image = Image.fromarray((array.clip(0, top) * (255 / top)).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _shrink(image: Image.Image, min_side: int | None) -> Image.Image:
    factor = 1 if min_side is None else min(image.size) // min_side
    return image.reduce(factor) if factor > 1 else image
