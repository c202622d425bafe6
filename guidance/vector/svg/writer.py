"""Scene → SVG, exact to a millionth of the canvas."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from torch import Tensor

from guidance.conventions import check_range
from guidance.errors import DivergedError, InputError
from guidance.vector.scene import Scene
from guidance.vector.svg.values import BACKGROUND_ID


def to_svg(
    scene: Scene,
    size: tuple[float, float],
    background: Tensor | Sequence[float] | None = None,  # [3]
    *,
    title: str | None = None,
    description: str | None = None,
) -> str:
    """Return `scene` as the text of an SVG file that any viewer draws as `render` does.

    Args:
        scene: the shapes; one ``<path>`` each, in painting order.
        size: width and height of the canvas in user units (pixels).
        background: RGB in [0, 1], drawn as a rectangle that `from_svg` skips; None is transparent.
        title: text of ``<title>``, which browsers show as a tooltip.
        description: text of ``<desc>``.

    Raises:
        InputError: the size or background is not allowed.
        DivergedError: the scene contains NaN or infinity.
    """
    width, height = size
    for name, side in (("width", width), ("height", height)):
        check_range(name, side, 0.0, 1e6, above=True)
    # A millionth of the canvas, in user units.
    digits = max(0, 6 - math.floor(math.log10(min(width, height))))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">',
    ]
    for tag, text in (("title", title), ("desc", description)):
        if text is not None:
            lines.append(f"<{tag}>{_text(text)}</{tag}>")
    if background is not None:
        rgb = [float(x) for x in background]
        if len(rgb) != 3:
            raise InputError(f"background must have 3 values, RGB in [0, 1], but has {len(rgb)}")
        lines.append(
            f'<rect id="{BACKGROUND_ID}" width="{width:g}" height="{height:g}" fill="{_rgb(rgb)}"/>'
        )
    lines.append(
        '<g fill="none" fill-rule="nonzero" stroke-linecap="round" stroke-linejoin="round">'
    )
    lines += _paths(scene, width, height, digits)
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _paths(scene: Scene, width: float, height: float, digits: int) -> list[str]:
    """Return one ``<path>`` element per shape."""
    scene = scene.detach().to("cpu")
    paths = []
    shapes = zip(*(getattr(scene, n).tolist() for n in scene.__annotations__), strict=True)
    for points, stroke_width, rgba, count, closed in shapes:
        used = [*points[: 3 * count], points[0 if closed else 3 * count]]
        numbers = [x for point in used for x in point] + [stroke_width, *rgba]
        if not all(map(math.isfinite, numbers)):
            raise DivergedError("a scene must be finite to be saved but contains NaN or infinity")
        xy = [f"{_number(x * width, digits)},{_number(y * height, digits)}" for x, y in used]
        d = f"M{xy[0]} C{' '.join(xy[1:])}" + (" Z" if closed else "")
        opacity = _number(_unit(rgba[3]), 6)
        if closed:
            paint = f'fill="{_rgb(rgba[:3])}" fill-opacity="{opacity}"'
        else:
            thickness = _number(max(stroke_width, 0.0) * min(width, height), digits)
            paint = (
                f'stroke="{_rgb(rgba[:3])}" stroke-opacity="{opacity}" stroke-width="{thickness}"'
            )
        paths.append(f'<path d="{d}" {paint}/>')
    return paths


def _rgb(rgb: Sequence[float]) -> str:
    # Percentages, because #rrggbb would round to 1/255.
    return f"rgb({','.join(_number(100 * _unit(x), 4) + '%' for x in rgb)})"


def _unit(x: float) -> float:
    return min(max(x, 0.0), 1.0)


def _number(x: float, digits: int) -> str:
    """Return `x` with at most `digits` decimals and no trailing zeros."""
    text = f"{x:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _text(text: str) -> str:
    """Return `text` escaped for XML, without the control characters that XML forbids."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text))
