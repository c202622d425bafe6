"""Basic shapes and paths of an SVG as chains of cubic Bézier curves in their user space."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

from guidance.vector.svg.geometry import Chain
from guidance.vector.svg.path import Outline, parse_path

SHAPES = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon"}
Measure = Callable[[str, str], float | None]  # attribute, "x", "y" or "both" → user units


def chains_of(element: ET.Element, measure: Measure) -> tuple[list[Chain], bool]:
    """Return the sub-paths of a shape, and whether its data was in order."""
    tag = element.tag
    if tag == "path":
        data = element.get("d", "")
        return ([], True) if data.strip().lower() == "none" else parse_path(data)
    if tag in ("polyline", "polygon"):
        points = [x for x in re.split(r"[\s,]+", element.get("points", "")) if x]
        data = "M" + " ".join(points[: len(points) // 2 * 2])
        return parse_path(data + ("z" if tag == "polygon" else "")) if points else ([], True)
    pen = Outline()
    if tag == "line":
        pen.move((measure("x1", "x") or 0.0, measure("y1", "y") or 0.0))
        pen.line((measure("x2", "x") or 0.0, measure("y2", "y") or 0.0))
    elif tag == "rect":
        _rectangle(pen, measure)
    else:
        _ellipse(pen, tag, measure)
    return pen.chains(), True


def _ellipse(pen: Outline, tag: str, measure: Measure) -> None:
    x, y = measure("cx", "x") or 0.0, measure("cy", "y") or 0.0
    if tag == "circle":
        rx = ry = measure("r", "both") or 0.0
    else:
        rx, ry = _radii(measure)
    if not (rx > 0 and ry > 0):
        return
    pen.move((x + rx, y))
    for end in ((x, y + ry), (x - rx, y), (x, y - ry), (x + rx, y)):
        pen.arc(rx, ry, 0.0, False, True, end)
    pen.close()


def _rectangle(pen: Outline, measure: Measure) -> None:
    x, y = measure("x", "x") or 0.0, measure("y", "y") or 0.0
    width, height = measure("width", "x") or 0.0, measure("height", "y") or 0.0
    if not (width > 0 and height > 0):
        return
    rx, ry = _radii(measure)
    rx, ry = min(max(rx, 0.0), width / 2), min(max(ry, 0.0), height / 2)
    right, bottom = x + width, y + height
    if rx == 0 or ry == 0:
        pen.move((x, y))
        for corner in ((right, y), (right, bottom), (x, bottom)):
            pen.line(corner)
        pen.close()
        return
    pen.move((x + rx, y))
    for start, end in (
        ((right - rx, y), (right, y + ry)),
        ((right, bottom - ry), (right - rx, bottom)),
        ((x + rx, bottom), (x, bottom - ry)),
        ((x, y + ry), (x + rx, y)),
    ):
        if start != pen.here:
            pen.line(start)
        pen.arc(rx, ry, 0.0, False, True, end)
    pen.close()


def _radii(measure: Measure) -> tuple[float, float]:
    """Return ``rx`` and ``ry``; one that is not given is like the other."""
    rx, ry = measure("rx", "x"), measure("ry", "y")
    return (ry if rx is None else rx) or 0.0, (rx if ry is None else ry) or 0.0
