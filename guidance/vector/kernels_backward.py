"""The derivative of `kernels.paint_shapes`, written by hand and compiled by numba.

Every strip has its own sums, one slot per shape and segment in it; they are added up strip after
strip, so that the result has the same bytes whatever the threads did.
"""

from __future__ import annotations

import math

from guidance.vector.compiled import clipped, crossing, helper, kernel


@kernel
def unpaint_shapes(
    vertices, first, offsets, radii, colors, closed, top, runs, cover, tags, grad,
    seen, below, above, sweep, bounds, of_paint, of_segments,
):  # fmt: skip
    """Take the shapes of one strip off again, from top to bottom, and sum up their gradients.

    Args:
        runs: ``[R + 1, 4]``, with `cover` ``[F]`` and `tags` ``[F]`` from `paint_shapes`.
        grad: ``[4, rows, W]``, the gradient with respect to its `out`.
        seen: ``[rows, W]``, a copy of ``grad[3]``; used up.
        below: ``[F]``, used up.
        above: ``[rows, W]``, full of ones; used up.
        sweep: ``[rows, W]``, full of zeros, as it is left.
        bounds: ``[M + 1]``, the run each shape begins with, then R.
        of_paint: ``[M, 5]`` zeros, filled with the gradients of colours and radii.
        of_segments: ``[m, 4]`` zeros, filled with the gradients of both ends of all segments of
            these shapes, one after the other.
    """
    _see_below(colors, runs, cover, grad, seen, below)
    slot = len(of_segments)
    for m in range(len(bounds) - 2, -1, -1):
        start, stop = bounds[m], bounds[m + 1]
        s = runs[start, 0]
        begin, end = offsets[s], offsets[s + 1]
        slot -= end - begin
        _unblend(colors, s, runs, start, stop, cover, grad, below, above, of_paint, m)
        # From here on `below` holds the gradient of the coverage.
        if closed[s]:
            _lay_out(runs, start, stop, below, tags, sweep, 1)
            _untrace_fill(vertices, first, begin, end, top, sweep, of_segments, slot)
            _lay_out(runs, start, stop, below, tags, sweep, 0)
        else:
            of_paint[m, 4] = _untrace_stroke(
                vertices, first, begin, radii[s], top, runs, start, stop, tags, below,
                of_segments, slot,
            )  # fmt: skip


@kernel
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


@helper
def _see_below(colors, runs, cover, grad, seen, below):
    """Set `below` to the gradient's gain from all that is under each fragment, were it on top."""
    for k in range(len(runs) - 1):
        s, y, x, base = runs[k, 0], runs[k, 1], runs[k, 2], runs[k, 3]
        red, green, blue, opacity = colors[s, 0], colors[s, 1], colors[s, 2], colors[s, 3]
        for i in range(runs[k + 1, 3] - base):
            alpha = opacity * cover[base + i]
            gain = grad[0, y, x + i] * red + grad[1, y, x + i] * green + grad[2, y, x + i] * blue
            below[base + i] = seen[y, x + i]
            seen[y, x + i] += alpha * (gain - seen[y, x + i])


@helper
def _unblend(colors, s, runs, start, stop, cover, grad, below, above, of_paint, m):
    """Go under shape `s`: sum up its colour's gradient, turn `below` into that of its coverage."""
    red, green, blue, opacity = colors[s, 0], colors[s, 1], colors[s, 2], colors[s, 3]
    d_red = d_green = d_blue = d_opacity = 0.0
    for k in range(start, stop):
        y, x, base = runs[k, 1], runs[k, 2], runs[k, 3]
        for i in range(runs[k + 1, 3] - base):
            alpha = opacity * cover[base + i]
            weight = above[y, x + i] * alpha
            g0, g1, g2 = grad[0, y, x + i], grad[1, y, x + i], grad[2, y, x + i]
            d_red += weight * g0
            d_green += weight * g1
            d_blue += weight * g2
            gain = g0 * red + g1 * green + g2 * blue
            slope = above[y, x + i] * (gain - below[base + i])
            d_opacity += slope * cover[base + i]
            below[base + i] = slope * opacity
            above[y, x + i] -= weight
    of_paint[m, 0], of_paint[m, 1] = d_red, d_green
    of_paint[m, 2], of_paint[m, 3] = d_blue, d_opacity


@helper
def _lay_out(runs, start, stop, slopes, tags, sweep, factor):
    """Put `factor` times the gradient of the winding number into `sweep`."""
    for k in range(start, stop):
        y, x, base = runs[k, 1], runs[k, 2], runs[k, 3]
        for i in range(runs[k + 1, 3] - base):
            sweep[y, x + i] = factor * slopes[base + i] * tags[base + i]


@helper
def _untrace_stroke(
    vertices, first, begin, radius, top, runs, start, stop, tags, slopes, of_segments, slot
):
    """Add the gradient of a stroke's segments; return that of its radius."""
    of_radius = 0.0
    for k in range(start, stop):
        y, base = runs[k, 1] + top + 0.5, runs[k, 3]
        for i in range(base, runs[k + 1, 3]):
            slope = slopes[i]
            if tags[i] < 0 or slope == 0:
                continue
            v = first[tags[i]]
            ax, ay = vertices[v, 0], vertices[v, 1]
            dx, dy = vertices[v + 1, 0] - ax, vertices[v + 1, 1] - ay
            px, py = runs[k, 2] + i - base + 0.5 - ax, y - ay
            square = dx * dx + dy * dy
            t = min(max((px * dx + py * dy) / square, 0.0), 1.0) if square > 0 else 0.0
            qx, qy = t * dx - px, t * dy - py
            d = math.sqrt(qx * qx + qy * qy)
            outer = 1.0 if 0 <= radius - d + 0.5 <= 1 else 0.0
            inner = 1.0 if 0 <= 0.5 - radius - d <= 1 else 0.0
            of_radius += slope * (outer + inner)
            if outer != inner and d > 0:
                pull = slope * (inner - outer) / d
                m = slot + tags[i] - begin
                of_segments[m, 0] += (1 - t) * pull * qx
                of_segments[m, 1] += (1 - t) * pull * qy
                of_segments[m, 2] += t * pull * qx
                of_segments[m, 3] += t * pull * qy
    return of_radius


@helper
def _untrace_fill(vertices, first, begin, end, top, sweep, of_segments, slot):
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
            clipped(math.floor(min(ay, by)), top, top + n),
            clipped(math.floor(max(ay, by)), top - 1, top + n - 1) + 1,
        ):
            t0, t1 = crossing(ay, by, row)
            x0, x1 = ax + t0 * dx, ax + t1 * dx
            for x in range(
                clipped(math.floor(min(x0, x1)), 0, width),
                clipped(math.floor(max(x0, x1)), -1, width - 1) + 1,
            ):
                slope = sweep[row - top, x]
                if slope != 0:
                    in0, in1 = crossing(ax, bx, x)
                    start, stop = max(t0, in0), min(t1, in1)
                    span = max(stop - start, 0.0)
                    weight = span * (start + stop) / 2
                    of_a += slope * (span - weight)
                    of_b += slope * weight
        m = slot + i - begin
        of_segments[m, 0] -= of_a * dy
        of_segments[m, 1] += of_a * dx
        of_segments[m, 2] -= of_b * dy
        of_segments[m, 3] += of_b * dx
