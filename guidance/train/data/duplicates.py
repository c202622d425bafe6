"""Near-duplicates of pictures, by a difference hash of 256 bits.

Each bit says whether brightness rises to the right, or downward, between neighbouring cells of
the picture; copies that were scaled or compressed again differ in few of them.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

BITS = 256


def difference_hash(image: Image.Image) -> np.ndarray:
    """Return the hash of `image`, on white if transparent: int8 ``[256]`` of -1 and 1."""
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    grey = image.convert("L")
    across = np.asarray(grey.resize((17, 8), Image.Resampling.BOX), np.int16)
    down = np.asarray(grey.resize((8, 17), Image.Resampling.BOX), np.int16)
    bits = np.concatenate([np.diff(across, axis=1).ravel(), np.diff(down, axis=0).ravel()])
    return np.where(bits > 0, 1, -1).astype(np.int8)


def near(hashes: np.ndarray, others: np.ndarray, distance: int) -> np.ndarray:
    """Tell which of `hashes` ``[N, 256]`` differ from one of `others` in at most `distance` bits.

    Returns:
        bool ``[N]``.
    """
    found = np.zeros(len(hashes), bool)
    if len(others):
        keys = others.astype(np.float32).T
        for i in range(0, len(hashes), 1024):
            agreement = hashes[i : i + 1024].astype(np.float32) @ keys
            found[i : i + 1024] = ((BITS - agreement) / 2 <= distance).any(1)
    return found
