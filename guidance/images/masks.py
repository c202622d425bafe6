"""Mask files of other programs → a picture that is white where to paint.

An opaque mask is white where to paint, black elsewhere. One with transparency is read as whoever
made it meant it:

================================  ============================================================
a brush on a transparent layer    its strokes are painted, whatever their colour, but for black
a photo with a hole               the hole is painted
black, with or without white, on  is refused: either may be meant
a transparent layer
several plain colours on a        is refused: they may be strokes, or a drawing with a hole
transparent layer
================================  ============================================================
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from guidance.errors import InputError
from guidance.images.read import load_image

if TYPE_CHECKING:
    import numpy as np

NEAR = 32  # of 255: colours that differ by less were one, before a file was packed or smoothed
MOST = 0.95  # of the pixels: the others are edges
GREYS = 0.25  # of an opaque mask; feathered edges have less, photos more
COLOURS = 0.01  # of an opaque mask: more is a brush of a colour, which is not heeded
VIVID = 96  # of 255, between the largest channel and the smallest
FEW = 8  # colours that strokes or a drawing have; photos have far more


def read_mask(path: str | os.PathLike) -> Image.Image:
    """Return a mask as an RGB image: what is nearer to white than to black is to be painted.

    Warns, once for each state of the file, of a mask that paints everything, and of one that is
    no picture of black and white.

    Raises:
        FileError: it cannot be read.
        InputError: it paints nothing, or could mean either of two things.
    """
    path = Path(path)
    state = path.stat() if path.is_file() else None
    return _read(path, state and (state.st_mtime_ns, state.st_size, state.st_ino)).copy()


@lru_cache(maxsize=8)
def _read(path: Path, state: object) -> Image.Image:
    """Read and check a mask; `state` tells a changed file."""
    import numpy as np

    image = load_image(path, alpha=True)
    if image.mode == "RGBA":
        pixels = np.asarray(image)
        image = image.convert("RGB")
        alpha = pixels[..., 3]
        if not alpha.any():
            raise InputError(f"mask must be white where to paint but {path} is clear everywhere")
        if int(alpha.max()) - int(alpha.min()) > NEAR:  # else it is a sheet of one strength
            painted = _meant(pixels[..., :3], alpha, path)
            image = Image.fromarray(painted.astype(np.uint8) * 255).convert("RGB")
    _check(np.asarray(image), path)
    return image


def _meant(colours: np.ndarray, alpha: np.ndarray, path: Path) -> np.ndarray:
    """Return what a mask with transparency paints, bool ``[H, W]``.

    Args:
        colours: ``[H, W, 3]`` uint8; those of clear pixels do not count.
        alpha: ``[H, W]`` uint8.
    """
    import numpy as np

    seen = alpha > alpha.max() / 2  # a brush may be half transparent
    brush = colours[seen].astype(np.int16)
    dark, light = (brush < NEAR).all(axis=-1), (brush > 255 - NEAR).all(axis=-1)
    if (dark | light).mean() >= MOST and dark.mean() > 1 - MOST:
        found = "black, white and clear" if light.mean() > 1 - MOST else "black and clear"
        raise _unclear(path, f"is {found}")
    if (abs(brush - np.median(brush, axis=0)) < NEAR).all(axis=-1).mean() >= MOST:
        return seen
    _, counts = np.unique(brush // 4 @ [1, 64, 4096], return_counts=True)
    if np.sort(counts)[-FEW:].sum() >= MOST * len(brush):
        raise _unclear(path, "has strokes of several colours, or is a drawing with a hole")
    return alpha < 127.5


def _unclear(path: Path, found: str) -> InputError:
    return InputError(
        f"mask must be white where to paint but {path} {found}: fill what is to be painted with "
        "white and all the rest with black"
    )


def _check(pixels: np.ndarray, path: Path) -> None:
    """Refuse a mask ``[H, W, 3]`` that paints nothing; warn of what is hardly meant."""
    grey = pixels.mean(axis=-1)
    painted = float((grey > 127.5).mean())
    if painted == 0:
        most = int(pixels.max())
        reason = "is black everywhere" if most == 0 else "has nothing nearer to white than to black"
        if 0 < most < NEAR:
            reason += f": its largest value is {most} of 255"
        raise InputError(f"mask must be white where to paint but {path} {reason}")
    if painted == 1:
        found = "white" if grey.min() > 255 - NEAR else "nearer to white than to black"
        warnings.warn(
            f"the mask {path} is {found} everywhere, so all of the picture is painted",
            stacklevel=4,
        )
        return
    between = float(((grey > 64) & (grey < 191)).mean())
    coloured = float((pixels.max(axis=-1) - pixels.min(axis=-1) > VIVID).mean())
    if between > GREYS or coloured > COLOURS:
        warnings.warn(
            f"the mask {path} is not black and white: {painted:.0%} of it is nearer to white and "
            "painted",
            stacklevel=4,
        )
