"""`flatten.flatten` and its derivative, compiled by numba.

The same arithmetic as in PyTorch, without its cost per operation: at a hundred strokes that would
be most of a frame.
"""

from __future__ import annotations

import math

import numpy as np

from guidance.vector.compiled import clipped, helper, kernel
from guidance.vector.flatten import MAX_COORDINATE, MAX_PIECES, MIN_PIECES, TOLERANCE


@kernel
def flatten_shapes(points, widths, counts, closed, height, width):
    """Return vertices, first, offsets and radii as in `flatten.Outline`, and pieces per cubic.

    Pieces are ``[C]`` int64 for the cubics of all shapes in order. If a point or width in use is
    not finite, the outline is empty.
    """
    n_cubics = counts.sum()
    pieces = np.empty(n_cubics, np.int64)
    radii = np.empty(len(counts), points.dtype)
    offsets = np.zeros(len(counts) + 1, np.int64)
    cubic = np.empty((4, 2))
    finite = True
    c = 0
    for s in range(len(counts)):
        finite &= math.isfinite(widths[s])
        radii[s] = min(max(widths[s], 0.0), MAX_COORDINATE) * min(height, width) / 2
        margin = 1.0 if closed[s] else radii[s] + 1.0
        offsets[s + 1] = offsets[s]
        for k in range(counts[s]):
            finite &= _load_cubic(points[s], k, counts[s], closed[s], height, width, cubic)
            pieces[c] = _count_pieces(cubic, margin, height, width)
            offsets[s + 1] += pieces[c]
            c += 1
    if not finite:
        offsets[:] = 0
        pieces = pieces[:0]
    vertices = np.empty((offsets[-1] + len(pieces), 2), points.dtype)
    first = np.empty(offsets[-1], np.int64)
    c = v = i = 0
    for s in range(len(counts) if finite else 0):
        for k in range(counts[s]):
            _load_cubic(points[s], k, counts[s], closed[s], height, width, cubic)
            for j in range(pieces[c] + 1):
                weights = _bernstein(j / pieces[c])
                for axis in range(2):
                    vertices[v, axis] = (
                        weights[0] * cubic[0, axis]
                        + weights[1] * cubic[1, axis]
                        + weights[2] * cubic[2, axis]
                        + weights[3] * cubic[3, axis]
                    )
                if j < pieces[c]:
                    first[i] = v
                    i += 1
                v += 1
            c += 1
    return vertices, first, offsets, radii, pieces


@kernel
def unflatten_shapes(points, widths, counts, closed, height, width, pieces, to_vertices, to_radii):
    """Return the gradients of points and widths from those of vertices and radii, in float64."""
    to_points, to_widths = np.zeros(points.shape), np.zeros(widths.shape)
    c = v = 0
    for s in range(len(counts)):
        if 0 <= widths[s] <= MAX_COORDINATE:
            to_widths[s] = to_radii[s] * min(height, width) / 2
        for k in range(counts[s]):
            for j in range(pieces[c] + 1):
                weights = _bernstein(j / pieces[c])
                for i in range(4):
                    p = _index(k, i, counts[s], closed[s])
                    to_points[s, p, 0] += weights[i] * to_vertices[v, 0]
                    to_points[s, p, 1] += weights[i] * to_vertices[v, 1]
                v += 1
            c += 1
        for p in range(points.shape[1]):
            to_points[s, p, 0] *= width if abs(points[s, p, 0]) <= MAX_COORDINATE else 0
            to_points[s, p, 1] *= height if abs(points[s, p, 1]) <= MAX_COORDINATE else 0
    return to_points, to_widths


@helper
def _index(k, i, count, closed):
    """Return which of a shape's points is control point `i` of its cubic `k`."""
    return 0 if closed and k == count - 1 and i == 3 else 3 * k + i


@helper
def _load_cubic(points, k, count, closed, height, width, cubic):
    """Put the control points of cubic `k` into `cubic` in pixels; return whether all are finite."""
    finite = True
    for i in range(4):
        p = _index(k, i, count, closed)
        for axis in range(2):
            x = points[p, axis]
            finite &= math.isfinite(x)
            cubic[i, axis] = min(max(x, -MAX_COORDINATE), MAX_COORDINATE) * (
                height if axis else width
            )
    return finite


@helper
def _count_pieces(cubic, margin, height, width):
    """Return the number of straight pieces, as `flatten.count_pieces` does."""
    bend = 0.0
    for i in range(2):
        x = cubic[i, 0] - 2 * cubic[i + 1, 0] + cubic[i + 2, 0]
        y = cubic[i, 1] - 2 * cubic[i + 1, 1] + cubic[i + 2, 1]
        bend = max(bend, math.sqrt(x * x + y * y))
    for axis in range(2):
        low, high = cubic[:, axis].min(), cubic[:, axis].max()
        if high < -margin or low > (height if axis else width) + margin:
            return 1
    return clipped(math.ceil(math.sqrt(0.75 / TOLERANCE * bend)), MIN_PIECES, MAX_PIECES)


@helper
def _bernstein(t):
    s = 1 - t
    return s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
