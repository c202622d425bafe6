"""Pictures → the square views that are encoded, as they are and mirrored."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from guidance.data import Samples
from guidance.errors import FileError
from guidance.train.latents.options import LatentsOptions

AT_ONCE = 32  # views encoded at once by a thread
# backgrounds of drawings; a vivid one says nothing of the text, and pictures made of it are garish
PALE, WHITE = 224, (255, 255, 255)
ZOOM = 1.15  # the mirrored view is cut out of a picture so much larger
SMALLEST = 0.25  # smaller pictures count as of this size, which is blurred enough


class View(NamedTuple):
    """A square view of a picture.

    Attributes:
        pixels: uint8 ``[side, side, 3]``.
        size: pixels that the file has for each one of a side of the view, from `SMALLEST` to 1.
    """

    pixels: np.ndarray
    size: float


class Views(NamedTuple):
    """Some views: the rows of their pictures, images ``[N, 3, side, side]`` and sizes ``[N]``."""

    rows: list[int]
    images: Tensor
    sizes: Tensor


def view(samples: Samples, row: int, mirrored: bool, options: LatentsOptions) -> View | None:
    """Return one view of a picture; None if it is damaged.

    Damage is told once, with the plain view. The plain view is the middle on white, the mirrored
    one is cut elsewhere and, if transparent, lies on a pale colour.
    """
    rng = np.random.default_rng([options.seed, row, mirrored])
    try:
        image = samples.image(row)
    except FileError as error:
        if not mirrored:  # told once
            warnings.warn(f"{error}; it is left out", stacklevel=2)
        return None
    centre, side = (0.5, 0.5), options.side
    if mirrored:
        centre = tuple(rng.random(2))
        if image.mode == "RGB":  # drawings are framed already
            side = round(side * rng.uniform(1, ZOOM))
    size = min(1, max(SMALLEST, min(image.size) / side))
    image = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC, centering=centre)
    if image.mode == "RGBA":
        colour = tuple(int(c) for c in rng.integers(PALE, 256, size=3)) if mirrored else WHITE
        under = Image.new("RGBA", image.size, (*colour, 255))
        image = Image.alpha_composite(under, image).convert("RGB")
    left, top = (int(c * (side - options.side)) for c in centre)
    pixels = np.asarray(image)[top : top + options.side, left : left + options.side]
    return View(pixels[:, ::-1].copy() if mirrored else pixels, size)


def views(samples: Samples, rows: Sequence[int], options: LatentsOptions) -> Iterator[Views]:
    """Yield both views of the pictures in `rows`, some at a time, decoded ahead by threads."""
    keys = [(row, mirrored) for row in rows for mirrored in (False, True)]
    count = AT_ONCE * options.threads
    with ThreadPoolExecutor(options.threads) as pool:

        def start(first: int) -> list:
            part = keys[first : first + count]
            return [(row, pool.submit(view, samples, row, m, options)) for row, m in part]

        jobs = start(0)
        for first in range(0, len(keys), count):
            done = [(row, job.result()) for row, job in jobs]
            jobs = start(first + count)  # decoded while these are encoded
            good = [(row, made) for row, made in done if made is not None]
            if good:
                stack = torch.from_numpy(np.stack([made.pixels for _, made in good]))
                sizes = torch.tensor([made.size for _, made in good])
                images = stack.permute(0, 3, 1, 2).float() / 255
                yield Views([row for row, _ in good], images, sizes)
