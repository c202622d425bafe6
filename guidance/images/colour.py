"""Colours by the profile that an image brings (ICC) → sRGB, which screens and models take."""

from __future__ import annotations

import contextlib
import io
import itertools
from functools import lru_cache
from typing import Any

from PIL import Image

MAX_PROFILE = 4_000_000  # bytes; those of printing presses have up to 3 MB
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}  # mode → what its profiles call it
SAME = 2  # of 255: a profile that moves no colour further is sRGB by another name


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image of mode L, RGB, CMYK or LAB in RGB, its colours those of sRGB.

    A profile that is damaged or belongs to another mode is ignored, as viewers do, and so is one
    that is sRGB under another name: such pictures keep their values bit for bit.
    """
    transform = None
    if image.mode == "LAB":
        transform = _from_lab()
    elif profile and image.mode in SPACES and len(profile) <= MAX_PROFILE:
        transform = _transform(profile, image.mode)
    if transform is not None:
        return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)  # photos of one camera share a profile
def _transform(profile: bytes, mode: str) -> Any:
    """Return the way from a profile to sRGB; None where there is none to go."""
    with contextlib.suppress(Exception):  # no littlecms in this Pillow, or a damaged profile
        from PIL import ImageCms

        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if found.profile.xcolor_space != SPACES[mode]:
            return None
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(found, srgb, mode, "RGB")
        return None if mode != "CMYK" and _moves_nothing(transform, mode) else transform
    return None


@lru_cache(maxsize=1)
def _from_lab() -> Any:
    from PIL import ImageCms

    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )


def _moves_nothing(transform: Any, mode: str) -> bool:
    """Return whether `transform` leaves a grid of colours where they are."""
    levels = range(0, 256, 17)
    if mode == "L":
        grid = Image.frombytes("L", (16, 1), bytes(levels))
    else:
        values = bytes(v for colour in itertools.product(levels, repeat=3) for v in colour)
        grid = Image.frombytes("RGB", (256, 16), values)
    moved, still = transform.apply(grid).tobytes(), grid.convert("RGB").tobytes()
    return max(abs(a - b) for a, b in zip(moved, still, strict=True)) <= SAME
