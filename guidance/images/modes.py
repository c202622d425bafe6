"""Pixels of any kind → RGB in 8 bits: numbers of any range, palettes, profiles, transparency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image

from guidance.errors import FileError
from guidance.images.colour import to_srgb

if TYPE_CHECKING:  # it takes a third of the time in which a prompt is refused
    import numpy as np

FLOAT_TOPS = (1.0, 255.0, 65535.0)  # what is white, in the files of different programs
SAMPLE_FORMAT, UNSIGNED = 339, 1  # a tag of TIFF and its value for numbers without a sign
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
PLANES, APART = 284, 2
BITS, COMPRESSION = 258, 259
OVERSHOOT = 0.25  # of the largest value: what sharp filters add below black


def to_rgb(image: Image.Image, name: str, *, alpha: bool = False) -> Image.Image:
    """Return a loaded `image` as RGB, transparency laid over white.

    Args:
        name: what a message calls the image.
        alpha: keep transparency instead, as RGBA.

    Raises:
        FileError: its numbers are not finite, or in no range that a picture has.
    """
    profile = image.info.get("icc_profile")
    _check_planes(image, name)
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image, name)
    if not image.has_transparency_data:
        if image.mode not in ("L", "CMYK", "LAB"):
            image = image.convert("RGB")  # a copy in any case
        image = to_srgb(image, profile)
        image.info = {}  # nothing of it holds for the pixels any more
        return image
    clear = image.convert("RGBA")
    if profile:
        opaque = clear.convert("RGB")
        grey = image.mode in ("1", "L", "LA", "La")
        opaque = to_srgb(opaque.getchannel(0) if grey else opaque, profile)
        opaque.putalpha(clear.getchannel("A"))
        clear = opaque
    if not alpha:
        white = Image.new("RGBA", clear.size, "white")
        clear = Image.alpha_composite(white, clear).convert("RGB")
    clear.info = {}
    return clear


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Return an image of 16-bit, 32-bit or real numbers in mode L, or LA if a value is clear."""
    import numpy as np

    tags = getattr(image, "tag_v2", {})  # of a TIFF file
    array = np.asarray(image)
    if image.mode == "F":
        array, top = _real(array, name)
    else:
        if image.mode == "I" and tags and _first(tags.get(SAMPLE_FORMAT, 1)) == UNSIGNED:
            array = array.view(np.uint32)  # which Pillow reads with a sign
        most = int(array.max(initial=0))
        # plain "I" does not tell its depth
        tops = (255, 65535, 2**32 - 1) if image.mode == "I" else (65535,)
        top = next(t for t in tops if most <= t)
    eight = (array.clip(0, top) * (255 / top)).round().astype(np.uint8)
    if _first(tags.get(PHOTOMETRIC)) == WHITE_IS_ZERO:  # Pillow heeds it in 8 bits only
        eight = 255 - eight
    grey = Image.fromarray(eight)
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(array == key, 0, 255).astype(np.uint8)))
    return grey


def _check_planes(image: Image.Image, name: str) -> None:
    """Refuse a TIFF that Pillow decodes wrongly: 16 bits, each channel by itself, not packed."""
    tags = getattr(image, "tag_v2", {})
    if (
        _first(tags.get(PLANES)) == APART
        and _first(tags.get(BITS, 8)) != 8
        and _first(tags.get(COMPRESSION, 1)) == 1
    ):
        raise FileError(f"{name} is a TIFF of a rare kind; save it as PNG or JPEG")


def _first(value: object) -> object:
    """Return the first of the values of a tag, which may be a plain one."""
    return next(iter(value), None) if isinstance(value, tuple) else value


def _real(array: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Return real numbers in double precision, and which of them is white.

    White is 1, 255 or 65535, whichever the largest value is nearest to in ratio: filters that
    sharpen go beyond it, and so do the highlights of a linear picture; those become white.
    """
    import numpy as np

    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise FileError(f"{name} holds values that are not finite")
    least, most = array.min(initial=0), array.max(initial=0)
    top = min(FLOAT_TOPS, key=lambda t: abs(math.log(t) - math.log(max(most, 1e-300))))
    if least < -OVERSHOOT * max(most, top / 255) or most > 2 * FLOAT_TOPS[-1]:
        raise FileError(
            f"{name} holds values from {least:g} to {most:g}; those of a picture go from 0 to 1, "
            "255 or 65535"
        )
    return array, top
