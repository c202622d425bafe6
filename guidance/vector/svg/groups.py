"""See-through groups of an SVG: what a group hides in itself must not show through it."""

from __future__ import annotations

import numpy as np

from guidance.vector.svg.geometry import Box, Chain, Shape, join
from guidance.vector.svg.regions import Knife, Pen, Region, TooComplex
from guidance.vector.svg.values import IDENTITY

MOST = 200  # shapes of one group that are cut by each other


def region_of(shape: Shape, knife: Knife) -> Region:
    """Return the area that a shape of a scene covers."""
    points, width, _, closed = shape
    chain = Chain(points, closed)
    if closed:
        return knife.region([chain])
    return knife.outline([chain], Pen(width, "round", "round"), IDENTITY)


def flatten(shapes: list[Shape], opacity: float, knife: Knife) -> tuple[list[Shape], bool]:
    """Cut away what shapes of a group hide of each other, so that each can be see-through alone.

    Args:
        shapes: of the group, in painting order; their alpha has `opacity` in it.
        opacity: of the group and of all around it.
        knife: cuts.

    Returns:
        The shapes that are left, and whether that is how the group looks. It is not where the
        upper one of two is see-through itself.
    """
    if not knife.compares(len(shapes)):
        return shapes, False
    boxes = np.array([_box(shape) for shape in shapes]).reshape(-1, 4)
    left, top, right, bottom = boxes.T
    flat, exact = [], True
    for i, shape in enumerate(shapes):
        near = (left[i + 1 :] < right[i]) & (right[i + 1 :] > left[i])
        near &= (top[i + 1 :] < bottom[i]) & (bottom[i + 1 :] > top[i])
        above = [shapes[i + 1 + j] for j in np.flatnonzero(near)]
        if above and (len(shapes) > MOST or any(s[2][3] < 0.999 * opacity for s in above)):
            exact, above = False, []
        if not above:
            flat.append(shape)
            continue
        try:
            area = region_of(shape, knife)
            for other in above:
                area = knife.combine(area, region_of(other, knife), "subtract")
        except TooComplex:
            flat.append(shape)
            exact = False
            continue
        rings = knife.chains(area)
        if rings:
            flat.append((join(rings), 0.0, shape[2], True))
    return flat, exact


def _box(shape: Shape) -> Box:
    points, width, *_ = shape
    low, high = points.min(0) - width / 2, points.max(0) + width / 2
    return (*low, *high)
