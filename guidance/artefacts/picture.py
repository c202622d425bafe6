"""A finished picture → a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import Image

from guidance.files.writing import atomic


def save_picture(path: str | os.PathLike, picture: Image.Image, **extra: Any) -> None:
    """Write a PNG or, of good quality, a JPEG or WebP file, as the suffix says.

    Args:
        extra: what Pillow takes further, such as ``exif``.

    Raises:
        FileError: the file cannot be written.
    """
    quality: dict[str, Any] = {} if Path(path).suffix.lower() == ".png" else {"quality": 92}
    with atomic(path) as temporary:
        picture.save(temporary, **quality, **extra)
