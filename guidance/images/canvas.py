"""Image file → picture or mask of the canvas' size, and pictures side by side."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from guidance.conventions import check_count, check_images, check_shape
from guidance.errors import InputError
from guidance.images import load_image
from guidance.images.fitting import cropped
from guidance.images.masks import read_mask
from guidance.images.resize import resize
from guidance.images.tensors import to_tensor


def load_picture(source: str | os.PathLike | Image.Image, size: tuple[int, int]) -> Tensor:
    """Return an image ``[1, 3, H, W]`` in [0, 1] that covers `size`: see `fitting.cropped`.

    An image of that size is taken as it is, bit for bit.

    Args:
        size: height and width, pixels.

    Raises:
        FileError: it cannot be read.
    """
    height, width = size
    image = load_image(source)
    if cropped((image.height, image.width), size) == (image.height, image.width):
        return to_tensor(image.resize((width, height), Image.Resampling.LANCZOS))
    return to_tensor(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def load_mask(path: str | os.PathLike, size: tuple[int, int], *, feather: int = 0) -> Tensor:
    """Return a mask ``[1, 1, H, W]``: above 0 where to paint, by the rules of `images.masks`.

    Args:
        size: height and width, pixels; the image is fitted as by `load_picture`.
        feather: see `soften`.

    Raises:
        FileError: it cannot be read.
        InputError: it paints nothing, at this size too, or is unclear.
    """
    mask = (load_picture(read_mask(path), size).mean(dim=1, keepdim=True) > 0.5).float()
    if not mask.any():
        height, width = size
        raise InputError(
            f"nothing in the mask {path} is large enough to be painted at {width}x{height}"
        )
    return soften(mask, feather)


def soften(mask: Tensor, feather: int) -> Tensor:
    """Return a mask of 0 and 1 with a ramp of `feather` pixels inside its border.

    What is 0 stays 0; the picture's own border is no border of the mask.

    Args:
        mask: ``[1, 1, H, W]``.
        feather: width of the ramp, pixels; 0 leaves the mask as it is.
    """
    check_shape("mask", mask, [1, 1, "H", "W"])
    check_count("feather", feather, 0)
    total, inner = mask.clone(), mask
    for _ in range(feather):
        inner = -F.max_pool2d(-inner, 3, stride=1, padding=1)  # a pixel smaller on all sides
        total = total + inner
    soft = total / (feather + 1)
    # so narrow a mask that its middle is faint is painted in full there
    return soft / soft.max() if bool(soft.max() > 0) else torch.zeros_like(mask)


def scale(images: Tensor, height: int, width: int) -> Tensor:
    """Return `images` ``[B, 3, H, W]`` in [0, 1] at another size, averaged where they shrink."""
    if images.shape[-2:] == (height, width):
        return images
    return resize(images, (height, width))


def tile(images: Tensor, height: int, width: int) -> Tensor:
    """Return all `images` ``[B, 3, H, W]`` in rows on one white sheet ``[1, 3, height, width]``.

    They are as large as fits, in their order; a single one that has the sheet's shape fills it.
    """
    check_images("images", images)
    high, wide = images.shape[-2:]
    scale, columns = max(
        (min(width / (n * wide), height / (-(-len(images) // n) * high)), -n)
        for n in range(1, len(images) + 1)
    )
    columns = -columns
    rows = -(-len(images) // columns)
    # whole pixels, and never more of them than there is room for
    down, across = (max(1, round(side * scale)) for side in (high, wide))
    down, across = min(down, height // rows), min(across, width // columns)
    if min(down, across) < 1:
        raise InputError(f"{len(images)} pictures do not fit on a sheet of {width}x{height} pixels")
    small = images
    if (high, wide) != (down, across):
        small = resize(images, (down, across), mode="bilinear")
    sheet = images.new_ones(1, 3, height, width)
    top, left = (height - rows * down) // 2, (width - columns * across) // 2
    for number, picture in enumerate(small):
        y, x = top + number // columns * down, left + number % columns * across
        sheet[0, :, y : y + down, x : x + across] = picture
    return sheet.clamp(0, 1)
