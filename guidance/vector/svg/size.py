"""SVG → the size of its canvas, from the outermost element alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from guidance.vector.svg.source import Source, load
from guidance.vector.svg.style import Styles
from guidance.vector.svg.values import ViewBox, length, measure

MAX_SIDE = 1e9  # of the canvas, pixels; the least is the inverse


def shape_of_svg(source: str | Path) -> tuple[int, int]:
    """Return height and width of a drawing, in whole thousandths of the longer side.

    Raises:
        FileError, InputError: it is not a drawing, or states no size.
    """
    drawing = load(source)
    width, height = size_of(drawing, Styles(drawing, Counter()))
    unit = max(width, height) / 1000
    return max(1, round(height / unit)), max(1, round(width / unit))


def size_of(source: Source, styles: Styles) -> tuple[float, float]:
    """Return width and height of the canvas of a drawing, pixels.

    Raises:
        FileError, InputError: it states none, or one that no canvas has.
    """
    root = source.root
    style = styles.at(root)
    box = ViewBox.parse(root.get("viewBox"), None)
    sides: list[float | None] = []
    for name in ("width", "height"):
        text = style.get(name, "auto")
        found = measure(text)
        relative = found is None or found[1] == "%"  # of the window, which there is not
        sides.append(None if relative else length(text, styles.font_size(style), 0.0))
    width, height = sides
    if box is None and (width is None or height is None):
        raise source.refuse("state a viewBox or a width and height but has neither")
    if box is not None and box.width > 0 and box.height > 0:
        if width is None and height is None:
            width, height = box.width, box.height
        elif width is None:
            width = height * box.width / box.height
        elif height is None:
            height = width * box.height / box.width
    width, height = width or 0.0, height or 0.0
    if not all(1 / MAX_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise source.refuse(f"have a size above zero but is {width:g} × {height:g}")
    return width, height
