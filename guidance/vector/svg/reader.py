"""SVG → Scene: what other programs drew, as strokes and filled shapes made of cubics.

A fill and a stroke on one element become two shapes, in the order that they are painted. Style
sheets, ``<use>``, symbols, nested drawings and units are resolved as browsers do; clip paths, and
masks of one shade, by intersection. Holes are kept: the rings of a path are joined into one by
seams of no area. A stroke stays a stroke with round caps and joins; where it is dashed, cut or
stretched it becomes the shape that it covers, and every dash a shape of its own.

Approximated: a gradient becomes the mean of its stops. Left out, with one warning that names them:
text, pictures, patterns, markers, filters and the like. Nothing outside the file is read.
"""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from guidance.errors import InputError
from guidance.vector.scene import Scene
from guidance.vector.svg.canvas import Canvas
from guidance.vector.svg.geometry import Shape
from guidance.vector.svg.size import size_of
from guidance.vector.svg.source import load
from guidance.vector.svg.style import Styles
from guidance.vector.svg.walk import Place


def from_svg(source: str | Path, max_shapes: int = 10_000) -> Scene:
    """Read a drawing.

    Args:
        source: path of an SVG file (``.svg`` or ``.svgz``), or its text (a string that contains
            ``<``).
        max_shapes: how many shapes the drawing may have at most.

    Returns:
        A float32 scene on the CPU with one shape per stroke or fill, in painting order.

    Raises:
        FileError: the file cannot be read or is not an SVG drawing, or not one within bounds.
        InputError: the same of a text; or the drawing states no size, has nothing that can be
            drawn, or is too large.
    """
    drawing = load(source)
    left_out: Counter[str] = Counter()
    styles = Styles(drawing, left_out)
    size = size_of(drawing, styles)
    canvas = Canvas(drawing, styles, left_out, size, max_shapes)
    with np.errstate(over="ignore", invalid="ignore"):  # is checked at the end
        canvas.visit(drawing.root, Place(view=size))
    listed = ", ".join(f"{n} × {what}" for what, n in sorted(left_out.items()))
    if not canvas.shapes:
        problem = "must have something to draw but has no visible stroke or fill"
        also = f" (left out {listed})" if listed else ""
        raise InputError(f"{drawing.name} {problem}{also}")
    if listed:
        warnings.warn(f"{drawing.name}: left out {listed}", stacklevel=2)
    return _scene(canvas.shapes, size, drawing.name)


def _scene(shapes: list[Shape], size: tuple[float, float], name: str) -> Scene:
    """Return the shapes as one padded scene in fractions of the canvas."""
    longest = max(len(points) for points, *_ in shapes)
    points = torch.zeros(len(shapes), longest, 2, dtype=torch.float64)
    for row, (own, *_) in zip(points, shapes, strict=True):
        row[: len(own)] = torch.from_numpy(own)
    points /= torch.tensor(size, dtype=torch.float64)
    _, widths, colors, closed = zip(*shapes, strict=True)
    scene = Scene(
        points=points.float(),
        widths=torch.tensor(widths, dtype=torch.float64).div(min(size)).float(),
        colors=torch.tensor(colors, dtype=torch.float64).float(),
        counts=torch.tensor([(len(own) - 1) // 3 for own, *_ in shapes]),
        closed=torch.tensor(closed),
    )
    if not bool(torch.isfinite(scene.points).all() & torch.isfinite(scene.widths).all()):
        raise InputError(f"{name} must have finite coordinates but has NaN or infinity")
    return scene
