"""Where the picture to start from lies on the canvas, and the files that it and its mask are in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from guidance.conventions import MAX_SIDE
from guidance.errors import InputError
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
