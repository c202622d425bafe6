"""Picture to start from, mask and margins → what is known of the canvas and what is painted.

The known part is noised anew for every step and laid under what the network has made (RePaint,
Lugmayr et al. 2022, arXiv:2201.09865, section 4.1); in the end it is pasted, pixel for pixel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.conventions import MAX_SIDE
from guidance.errors import InputError
from guidance.images.canvas import load_mask, load_picture, soften
from guidance.images.fitting import Size


class Margins(NamedTuple):
    """Pixels that a canvas has beyond the picture it holds."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def around(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the canvas around a picture of `size` (height, width)."""
        return size[0] + self.top + self.bottom, size[1] + self.left + self.right

    def times(self, factor: int) -> Margins:
        """Return the margins of a canvas `factor` times as large."""
        return Margins(*(factor * side for side in self))

    def grown(self, size: tuple[int, int], multiple: int) -> Margins:
        """Return margins with which the canvas around `size` is of multiples, where there are any.

        What is missing is shared by the two sides, or added to the one that has a margin.
        """
        height, width = self.around(size)
        left, right = _share(self.left, self.right, -width % multiple)
        top, bottom = _share(self.top, self.bottom, -height % multiple)
        return Margins(left, top, right, bottom)

    def __str__(self) -> str:
        return ",".join(map(str, self))


NONE = Margins()


def _share(first: int, last: int, more: int) -> tuple[int, int]:
    """Return two margins that are together so much larger, those that there are."""
    if not first or not last:
        return first + more * bool(first), last + more * bool(last)
    return first + more // 2, last + more - more // 2


class Frame(NamedTuple):
    """Where a picture lies on the canvas.

    Attributes:
        inner: height and width of the picture, pixels of the canvas.
        margins: what the canvas has around it.
    """

    inner: Size
    margins: Margins = NONE

    @property
    def size(self) -> Size:
        """Height and width of the canvas."""
        return self.margins.around(self.inner)


def parse_margins(option: str, text: str) -> Margins:
    """Return the margins written as ``LEFT,TOP,RIGHT,BOTTOM`` or as one number for all four.

    Raises:
        InputError: it has another form, or adds nothing.

    Example:
        >>> parse_margins("outpaint", "0,0,64,0"), parse_margins("outpaint", "16").top
        (Margins(left=0, top=0, right=64, bottom=0), 16)
    """
    parts = text.split(",")
    if len(parts) not in (1, 4) or not all(re.fullmatch(r"\s*[0-9]{1,6}\s*", p) for p in parts):
        raise InputError(
            f"{option} must be one number of pixels or LEFT,TOP,RIGHT,BOTTOM but is {text!r}"
        )
    margins = Margins(*(int(p) for p in (parts * 4 if len(parts) == 1 else parts)))
    if not 0 < max(margins) <= MAX_SIDE:
        raise InputError(
            f"{option} must add between 1 and {MAX_SIDE} pixels on a side but is {text!r}"
        )
    return margins


@dataclass(frozen=True)
class Edit:
    """A picture on the canvas and the part of it that is painted.

    Attributes:
        picture: ``[1, 3, H, W]`` in [0, 1]; beyond its border it goes on in the border's colours.
        mask: ``[1, 1, H, W]`` in [0, 1], above 0 where to paint, with a ramp from what is known;
            None if all of it is.
    """

    picture: Tensor
    mask: Tensor | None

    def paste(self, images: Tensor) -> Tensor:
        """Return `images` ``[B, 3, H, W]`` with the known part of the picture, bit for bit."""
        if self.mask is None:
            return images
        blend = self.mask * images + (1 - self.mask) * self.picture
        return torch.where(self.mask > 0, blend, self.picture)

    def cells(self, factor: int) -> Tensor:
        """Return the cells of `factor` pixels of which any is painted, bool ``[1, 1, h, w]``."""
        return F.max_pool2d(self.mask, factor) > 0

    def to(self, device: torch.device | str) -> Edit:
        """Return the edit on `device`."""
        return Edit(self.picture.to(device), None if self.mask is None else self.mask.to(device))


@dataclass(frozen=True)
class Source:
    """The files of an edit.

    Attributes:
        init: the picture.
        mask: white where to paint, of the picture's shape.
        margins: painted around the picture; not together with a mask.
    """

    init: str
    mask: str | None = None
    margins: Margins = NONE

    def load(self, size: tuple[int, int], *, factor: int = 1, feather: int = 0) -> Edit:
        """Read the files for a canvas of `size` (height, width), margins included.

        Args:
            factor: the margins count so many pixels of this canvas.
            feather: pixels of the ramp inside the painted part.

        Raises:
            FileError: a file cannot be read.
            InputError: nothing in the mask is white.
        """
        margins = self.margins.times(factor)
        height, width = margins.around((0, 0))
        inner = size[0] - height, size[1] - width
        picture = load_picture(self.init, inner)
        if not any(margins):
            mask = None if self.mask is None else load_mask(self.mask, size, feather=feather)
            return Edit(picture, mask)
        sides = (margins.left, margins.right, margins.top, margins.bottom)
        mask = F.pad(torch.zeros(1, 1, *inner), sides, value=1.0)
        return Edit(F.pad(picture, sides, mode="replicate"), soften(mask, feather))
