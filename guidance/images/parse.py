"""Text → value: colours, palettes and canvas sizes, as people write them in options."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PIL import ImageColor

from guidance.conventions import check_size
from guidance.converting import shown
from guidance.errors import InputError, nearest

Rgb = tuple[float, float, float]


def parse_colour(option: str, text: str) -> Rgb:
    """Return RGB in [0, 1] of a CSS colour.

    Args:
        option: named in messages.

    Raises:
        InputError: it is not one.
    """
    try:
        red, green, blue = ImageColor.getrgb(text.strip())[:3]
    except ValueError:
        hint = nearest(text[:80], ImageColor.colormap)
        raise InputError(
            f"{option} must be a colour name or #rrggbb but is {shown(text)}{hint}"
        ) from None
    return red / 255, green / 255, blue / 255


def parse_palette(option: str, entries: Sequence[str]) -> tuple[Rgb, ...]:
    """Return the colours of all `entries` as RGB in [0, 1]; an entry may hold several with commas.

    Raises:
        InputError: one is not a colour.

    Example:
        >>> parse_palette("palette", ["red, #0000ff", "white"])
        ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0))
    """
    # commas inside brackets belong to a colour such as rgb(255, 0, 0)
    names = [c.strip() for entry in entries for c in re.split(r",(?![^(]*\))", entry)]
    if entries and not any(names):
        raise InputError(f"{option} must name a colour but is {shown(', '.join(entries))}")
    return tuple(parse_colour(option, name) for name in names if name)


def parse_canvas(option: str, text: str) -> tuple[int, int]:
    """Return height and width in pixels of ``SIDE`` or ``WIDTHxHEIGHT``.

    Raises:
        InputError: it has another form, or a side this package cannot work with.

    Example:
        >>> parse_canvas("size", "320x224")
        (224, 320)
    """
    match = re.fullmatch(r"(\d{1,6})(?:\s*[xX×]\s*(\d{1,6}))?", text.strip())
    if not match:
        raise InputError(f"{option} must be SIDE or WIDTHxHEIGHT in pixels but is {shown(text)}")
    width = int(match[1])
    height = int(match[2] or width)
    for side in (height, width):
        check_size(option, side)
    return height, width
