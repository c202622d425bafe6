"""The derivative of `kernels.paint_strip`, written by hand and compiled by numba.

Every strip has its own sums, one slot per shape and segment in it; they are added up strip after
strip, so that the result has the same bytes whatever the threads did.
"""

from __future__ import annotations

import math

import numpy as np

from guidance.clipdraw.kernels import _clipped, _compiled, _crossing


@_compiled
def unpaint_strip(vertices, first, offsets, radii, colors, closed, top, runs, cover, tags, grad):
    """Return the gradient of one strip, given `grad` [4, rows, W] with respect to its output.

    Returns:
        shapes ``[M]`` in this strip; ``[M, 5]`` gradients of their colours and radii; ``[m, 4]``
        gradients of both ends of all their segments, shape after shape.
    """
    _, n, width = grad.shape
    below = _seen_below(colors, runs, cover, grad)
    above = np.ones((n, width))
    sweep = np.zeros((n, width))
    shapes, bounds = _groups(runs)
    of_paint = np.zeros((len(shapes), 5))
    n_segments = 0
    for s in shapes:
        n_segments += offsets[s + 1] - offsets[s]
    of_segments = np.zeros((n_segments, 4))
    slot = n_segments
    for m in range(len(shapes) - 1, -1, -1):
        s = shapes[m]
        slot -= offsets[s + 1] - offsets[s]
        part = of_segments[slot : slot + offsets[s + 1] - offsets[s]]
        stretch = runs[bounds[m] : bounds[m + 1] + 1]
        _unblend(colors[s], stretch, cover, grad, below, above, of_paint[m])
        # From here on `below` holds the gradient of the coverage.
        if closed[s]:
            for k in range(len(stretch) - 1):
                y, x, start = stretch[k, 1], stretch[k, 2], stretch[k, 3]
                for i in range(stretch[k + 1, 3] - start):
                    sweep[y, x + i] = below[start + i] * tags[start + i]
            _untrace_fill(vertices, first, offsets[s], offsets[s + 1], top, sweep, part)
            for k in range(len(stretch) - 1):
                y, x = stretch[k, 1], stretch[k, 2]
                sweep[y, x : x + stretch[k + 1, 3] - stretch[k, 3]] = 0
        else:
            of_paint[m, 4] = _untrace_stroke(
                vertices, first, offsets[s], radii[s], top, stretch, tags, below, part
            )
    return shapes, of_paint, of_segments


@_compiled
def add_strip(first, offsets, shapes, of_paint, of_segments, to_vertices, to_radii, to_colors):
    """Add the gradients of one strip to those of the whole scene."""
    slot = 0
    for m in range(len(shapes)):
        s = shapes[m]
        to_radii[s] += of_paint[m, 4]
        for c in range(4):
            to_colors[s, c] += of_paint[m, c]
        for i in range(offsets[s], offsets[s + 1]):
            for c in range(2):
                to_vertices[first[i], c] += of_segments[slot, c]
                to_vertices[first[i] + 1, c] += of_segments[slot, 2 + c]
            slot += 1


@_compiled
def _groups(runs):
    """Return the shapes in painting order, and where the runs of each begin (one more: the end)."""
    shapes, bounds = np.empty(len(runs), np.int64), np.empty(len(runs) + 1, np.int64)
    n = 0
    for k in range(len(runs) - 1):
        if k == 0 or runs[k, 0] != runs[k - 1, 0]:
            shapes[n], bounds[n] = runs[k, 0], k
            n += 1
    bounds[n] = len(runs) - 1
    return shapes[:n], bounds[: n + 1]


@_compiled
def _seen_below(colors, runs, cover, grad):
    """Return for each fragment the gradient's gain from all that is under it, were it on top."""
    seen = grad[3].astype(np.float64)
    below = np.empty(len(cover))
    for k in range(len(runs) - 1):
        s, y, x, start = runs[k]
        red, green, blue, opacity = colors[s, 0], colors[s, 1], colors[s, 2], colors[s, 3]
        for i in range(runs[k + 1, 3] - start):
            alpha = opacity * cover[start + i]
            gain = grad[0, y, x + i] * red + grad[1, y, x + i] * green + grad[2, y, x + i] * blue
            below[start + i] = seen[y, x + i]
            seen[y, x + i] += alpha * (gain - seen[y, x + i])
    return below


@_compiled
def _unblend(color, runs, cover, grad, below, above, of_paint):
    """Go under one shape: add its colour's gradient, turn `below` into that of its coverage."""
    red, green, blue, opacity = color[0], color[1], color[2], color[3]
    d_red = d_green = d_blue = d_opacity = 0.0
    for k in range(len(runs) - 1):
        y, x, start = runs[k, 1], runs[k, 2], runs[k, 3]
        for i in range(runs[k + 1, 3] - start):
            alpha = opacity * cover[start + i]
            weight = above[y, x + i] * alpha
            g0, g1, g2 = grad[0, y, x + i], grad[1, y, x + i], grad[2, y, x + i]
            d_red += weight * g0
            d_green += weight * g1
            d_blue += weight * g2
            gain = g0 * red + g1 * green + g2 * blue
            slope = above[y, x + i] * (gain - below[start + i])
            d_opacity += slope * cover[start + i]
            below[start + i] = slope * opacity
            above[y, x + i] -= weight
    of_paint[0], of_paint[1], of_paint[2], of_paint[3] = d_red, d_green, d_blue, d_opacity


@_compiled
def _untrace_stroke(vertices, first, begin, radius, top, runs, tags, slopes, of_segments):
    """Add the gradient of a stroke's segments; return that of its radius."""
    of_radius = 0.0
    for k in range(len(runs) - 1):
        y, start = runs[k, 1] + top + 0.5, runs[k, 3]
        for i in range(start, runs[k + 1, 3]):
            slope = slopes[i]
            if tags[i] < 0 or slope == 0:
                continue
            v = first[tags[i]]
            ax, ay = vertices[v, 0], vertices[v, 1]
            dx, dy = vertices[v + 1, 0] - ax, vertices[v + 1, 1] - ay
            px, py = runs[k, 2] + i - start + 0.5 - ax, y - ay
            square = dx * dx + dy * dy
            t = min(max((px * dx + py * dy) / square, 0.0), 1.0) if square > 0 else 0.0
            qx, qy = t * dx - px, t * dy - py
            d = math.sqrt(qx * qx + qy * qy)
            outer = 1.0 if 0 <= radius - d + 0.5 <= 1 else 0.0
            inner = 1.0 if 0 <= 0.5 - radius - d <= 1 else 0.0
            of_radius += slope * (outer + inner)
            if outer != inner and d > 0:
                pull = slope * (inner - outer) / d
                part = of_segments[tags[i] - begin]
                part[0] += (1 - t) * pull * qx
                part[1] += (1 - t) * pull * qy
                part[2] += t * pull * qx
                part[3] += t * pull * qy
    return of_radius


@_compiled
def _untrace_fill(vertices, first, begin, end, top, sweep, of_segments):
    """Add the gradient of a fill's segments, given `sweep` [rows, W], that of the winding.

    It is an integral along the boundary inside each pixel: a point at parameter t moves with
    ``(1 - t) da + t db``, and a piece that moves across itself sweeps area.
    """
    n, width = sweep.shape
    for i in range(begin, end):
        ax, ay = vertices[first[i], 0], vertices[first[i], 1]
        bx, by = vertices[first[i] + 1, 0], vertices[first[i] + 1, 1]
        dx, dy = bx - ax, by - ay
        of_a = of_b = 0.0
        for row in range(
            _clipped(math.floor(min(ay, by)), top, top + n),
            _clipped(math.floor(max(ay, by)), top - 1, top + n - 1) + 1,
        ):
            t0, t1 = _crossing(ay, by, row)
            x0, x1 = ax + t0 * dx, ax + t1 * dx
            for x in range(
                _clipped(math.floor(min(x0, x1)), 0, width),
                _clipped(math.floor(max(x0, x1)), -1, width - 1) + 1,
            ):
                slope = sweep[row - top, x]
                if slope != 0:
                    in0, in1 = _crossing(ax, bx, x)
                    start, stop = max(t0, in0), min(t1, in1)
                    span = max(stop - start, 0.0)
                    weight = span * (start + stop) / 2
                    of_a += slope * (span - weight)
                    of_b += slope * weight
        part = of_segments[i - begin]
        part[0] -= of_a * dy
        part[1] += of_a * dx
        part[2] -= of_b * dy
        part[3] += of_b * dx
