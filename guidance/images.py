"""Files, PIL images and arrays → image tensors ``[1, 3, H, W]`` in [0, 1], safely.

Untrusted files end here: size limits are checked before any pixel is decoded.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from guidance.conventions import check_images
from guidance.errors import FileError, InputError

MAX_PIXELS = 100_000_000  # about the largest camera sensors; 300 MB decoded
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif")
)

ImageLike = str | os.PathLike | Image.Image | Tensor


def load_image(
    source: str | os.PathLike | Image.Image,
    *,
    max_pixels: int = MAX_PIXELS,
    min_side: int | None = None,
    animated: bool = True,
) -> Image.Image:
    """Open one image as RGB: rotated as its EXIF says, transparency laid over white.

    Args:
        source: a path or an open PIL image.
        max_pixels: larger images are refused before they are decoded.
        min_side: allow a JPEG decoder to shrink the image while its sides stay at least this
            long, in pixels (about twice as fast).
        animated: take the first frame of an animation rather than refuse it.

    Raises:
        FileError: missing, not an image, damaged, truncated, too large, or refused as animated.
    """
    name = str(source) if isinstance(source, str | os.PathLike) else "the image"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warnings become the errors below
            image = source if isinstance(source, Image.Image) else Image.open(source)
            if image.width * image.height > max_pixels:
                raise FileError(
                    f"{name} has {image.width}x{image.height} pixels, more than {max_pixels:,}"
                )
            if not animated and getattr(image, "n_frames", 1) > 1:
                raise FileError(f"{name} is animated ({image.n_frames} frames)")
            if min_side is not None and image.format == "JPEG":
                image.draft("RGB", (min_side, min_side))
            return _flatten(ImageOps.exif_transpose(image))
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"{name} does not exist") from None
    except UnidentifiedImageError:
        raise FileError(f"{name} is not an image Pillow can read") from None
    except Image.DecompressionBombError:
        raise FileError(f"{name} is larger than {max_pixels:,} pixels") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, ...
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(f"{name} cannot be read: {reason}") from error


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
        image = image if image.ndim == 4 else image[None]
        check_images("image", image)
        return image
    if isinstance(image, str | os.PathLike | Image.Image):
        return to_tensor(load_image(image))
    raise InputError(f"an image must be a path, PIL image or tensor but is {type(image).__name__}")


def is_image_path(path: str | os.PathLike) -> bool:
    """Return whether `path` has a suffix of the image formats read here."""
    return Path(path).suffix.lower() in SUFFIXES


def _flatten(image: Image.Image) -> Image.Image:
    """Return `image` as RGB, transparency laid over white, 16-bit greys scaled to 8."""
    if image.mode.startswith("I") or image.mode == "F":
        array = np.asarray(image, dtype=np.float64)
        top = 65535.0 if array.max(initial=0) > 255 else 255.0
        image = Image.fromarray((array.clip(0, top) * (255 / top)).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")
