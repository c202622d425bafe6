"""The rasteriser's inner loops, compiled by numba: one strip of rows at a time.

A strip belongs to one thread and writes only its own results, so nothing depends on which thread
does what. Within a strip, shapes are traced in painting order into buffers of the strip's size,
then turned into runs, horizontal stretches of covered pixels, and composited. Runs, with coverage
and tag of their pixels, are all that the backward pass needs.

Throughout: `vertices` [V, 2] in pixels, `first` [N] the first vertex of each segment, `offsets`
[S + 1] the segments of each shape, `top` the strip's first row, `low` and `high` [rows] the
columns a shape has touched. Arithmetic is in float64, storage in the scene's dtype.

What paints is in one file because numba's cache notices changes to a function's own file only.
"""

from __future__ import annotations

import math

import numpy as np

from guidance.vector.compiled import clipped, crossing, helper, kernel


@kernel
def shape_rows(vertices, first, offsets, radii, closed, height, width):
    """Return [S, 2], the first and last row each shape can touch; first > last if none."""
    rows = np.empty((len(radii), 2), np.int64)
    for s in range(len(radii)):
        margin = 0.0 if closed[s] else radii[s] + 0.5
        x_low = y_low = np.inf
        x_high = y_high = -np.inf
        for i in range(offsets[s], offsets[s + 1]):
            for v in range(first[i], first[i] + 2):
                x_low, x_high = min(x_low, vertices[v, 0]), max(x_high, vertices[v, 0])
                y_low, y_high = min(y_low, vertices[v, 1]), max(y_high, vertices[v, 1])
        beside = x_high + margin <= 0 or x_low - margin >= width
        rows[s, 0] = height if beside else clipped(math.floor(y_low - margin), 0, height)
        rows[s, 1] = clipped(math.floor(y_high + margin), -1, height - 1)
    return rows


@kernel
def paint_shapes(
    vertices, first, offsets, radii, colors, closed, rows, top,
    distance, tag, winding, low, high, out, runs, cover, tags, s, n_runs, used,
):  # fmt: skip
    """Composite shapes from `s` on into `out` [4, rows, W], premultiplied RGB and transmittance.

    Stops early where `runs` or `cover` may be too short for the next shape; the caller then
    lengthens them and calls again with what was returned.

    Args:
        rows: from `shape_rows`.
        distance: ``[rows, W]``, full of infinity, as it is left.
        tag: ``[rows, W]`` int32.
        winding: ``[rows, W + 1]``, full of zeros, as it is left.
        low: ``[rows]`` int64, full of W, as it is left.
        high: ``[rows]`` int64, full of -1, as it is left.
        runs: ``[…, 4]`` int64, filled with shape, row in the strip, first column, and where the
            pixels begin; the entry after the last run says where all pixels end.
        cover: ``[…]``, filled with the coverage of the pixels.
        tags: ``[…]`` int32, filled with what the backward pass needs to know of each pixel: of a
            stroke the nearest segment, or -1 inside; of a fill the slope of the coverage in the
            winding number, which is its sign, or 0 beyond 1.
        s: the first shape to draw.
        n_runs: how many runs there are.
        used: how many pixels there are.

    Returns:
        `s`, `n_runs` and `used` as they are now; all is done when `s` is the number of shapes.
    """
    n, width = distance.shape
    while s < len(closed):
        if used + n * width > len(cover) or n_runs + n * (width // 2 + 1) >= len(runs):
            break
        if rows[s, 0] < top + n and rows[s, 1] >= top:
            begin, end, start = offsets[s], offsets[s + 1], n_runs
            if closed[s]:
                _trace_fill(vertices, first, begin, end, top, winding, low, high)
            else:
                _trace_stroke(vertices, first, begin, end, radii[s], top, distance, tag, low, high)
            for y in range(n):
                if closed[s]:
                    n_runs, used = _emit_fill(
                        s, y, winding, low, high, runs, n_runs, cover, tags, used
                    )
                else:
                    n_runs, used = _emit_stroke(
                        s, y, radii[s], distance, tag, low, high, runs, n_runs, cover, tags, used
                    )
                low[y], high[y] = width, -1
            runs[n_runs, 3] = used
            _blend(colors, s, runs, start, n_runs, cover, out)
        s += 1
    runs[n_runs, 3] = used
    return s, n_runs, used


@helper
def _trace_stroke(vertices, first, begin, end, radius, top, distance, tag, low, high):
    """Put the squared distance to the nearest segment into `distance`, the segment into `tag`.

    Distances are measured only where a segment covers pixels partly; where it covers them wholly
    the entry is -1, which no distance undercuts.
    """
    n, width = distance.shape
    reach = radius + 0.5
    for i in range(begin, end):
        ax, ay = vertices[first[i], 0], vertices[first[i], 1]
        bx, by = vertices[first[i] + 1, 0], vertices[first[i] + 1, 1]
        if max(ax, bx) + reach <= 0 or min(ax, bx) - reach >= width:
            continue
        y_first = clipped(math.ceil(min(ay, by) - reach - 0.5), top, top + n)
        y_last = clipped(math.floor(max(ay, by) + reach - 0.5), top - 1, top + n - 1)
        for row in range(y_first, y_last + 1):
            y = row + 0.5
            out_low, out_high = _capsule_columns(ax, ay, bx, by, reach, y, width)
            if out_low > out_high:
                continue
            in_low, in_high = out_high + 1, out_high
            if reach > 1:
                solid_low, solid_high = _capsule_columns(ax, ay, bx, by, reach - 1, y, width)
                if solid_low <= solid_high:
                    in_low, in_high = solid_low, solid_high
            k = row - top
            low[k], high[k] = min(low[k], out_low), max(high[k], out_high)
            for x in range(in_low, in_high + 1):
                distance[k, x] = -1
            _measure(ax, ay, bx, by, y, out_low, in_low, i, distance, tag, k)
            _measure(ax, ay, bx, by, y, in_high + 1, out_high + 1, i, distance, tag, k)


@helper
def _measure(ax, ay, bx, by, y, begin, end, segment, distance, tag, k):
    """Lower `distance` to that from the segment, in columns `begin` to `end` of row `k`."""
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    inverse = 1 / square if square > 0 else 0.0
    py = y - ay
    for x in range(begin, end):
        px = x + 0.5 - ax
        t = min(max((px * dx + py * dy) * inverse, 0.0), 1.0)
        qx, qy = px - t * dx, py - t * dy
        square = qx * qx + qy * qy
        if square < distance[k, x]:
            distance[k, x] = square
            tag[k, x] = segment


@helper
def _capsule_columns(ax, ay, bx, by, r, y, width):
    """Return first and last column whose centre, at height `y`, is within `r` of the segment.

    The region is convex: each side is an end disc or the straight edge between the discs.
    """
    left, right = np.inf, -np.inf
    for ex, ey in ((ax, ay), (bx, by)):
        room = r * r - (y - ey) * (y - ey)
        if room >= 0:
            half = math.sqrt(room)
            left, right = min(left, ex - half), max(right, ex + half)
    dx, dy = bx - ax, by - ay
    if dy != 0:
        scale = r / math.sqrt(dx * dx + dy * dy)
        across = scale * abs(dy)
        down = -scale * dx if dy > 0 else scale * dx
        t = (y - ay + down) / dy
        if 0 <= t <= 1:
            left = min(left, ax - across + t * dx)
        t = (y - ay - down) / dy
        if 0 <= t <= 1:
            right = max(right, ax + across + t * dx)
    if left > right:
        return width, -1
    return (
        clipped(math.ceil(left - 0.5), 0, width),
        clipped(math.floor(right - 0.5), -1, width - 1),
    )


@helper
def _trace_fill(vertices, first, begin, end, top, winding, low, high):
    """Add to `winding` how the winding number changes from each pixel's left neighbour to it.

    The winding of a pixel, averaged over its area, is the sum over segments of the area to their
    right, counted positive where the segment goes down.
    """
    n, width = winding.shape[0], winding.shape[1] - 1
    for i in range(begin, end):
        ax, ay = vertices[first[i], 0], vertices[first[i], 1]
        bx, by = vertices[first[i] + 1, 0], vertices[first[i] + 1, 1]
        y_first = clipped(math.floor(min(ay, by)), top, top + n)
        y_last = clipped(math.floor(max(ay, by)), top - 1, top + n - 1)
        for row in range(y_first, y_last + 1):
            t0, t1 = crossing(ay, by, row)
            x0, x1 = ax + t0 * (bx - ax), ax + t1 * (bx - ax)
            x_first = clipped(math.floor(min(x0, x1)), 0, width)
            x_last = clipped(math.floor(max(x0, x1)), -1, width - 1)
            k = row - top
            low[k], high[k] = min(low[k], x_first, width - 1), max(high[k], x_last, 0)
            height = (t1 - t0) * (by - ay)
            before = 0.0
            for x in range(x_first, x_last + 1):
                area = height * _mean_of_clamp(x + 1 - x0, x + 1 - x1)
                winding[k, x] += area - before
                before = area
            winding[k, max(x_last + 1, x_first)] += height - before


@helper
def _mean_of_clamp(u0, u1):
    """Return the mean of ``clamp(u, 0, 1)`` for `u` running evenly from `u0` to `u1`."""
    low, high = min(u0, u1), max(u0, u1)
    if low >= 1:
        return 1.0
    if high - low < 1e-8:
        return min(max((low + high) / 2, 0.0), 1.0)
    bottom, top = min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
    return ((top * top - bottom * bottom) / 2 + max(high - 1, 0.0)) / (high - low)


@helper
def _start_run(s, y, x, used, runs, n_runs):
    """Note that a run of stroke `s` begins at (`x`, `y`); returns the number of runs."""
    runs[n_runs, 0], runs[n_runs, 1] = s, y
    runs[n_runs, 2], runs[n_runs, 3] = x, used
    return n_runs + 1


@helper
def _emit_stroke(s, y, radius, distance, tag, low, high, runs, n_runs, cover, tags, used):
    """Turn a row of distances into runs and clear it."""
    reach = (radius + 0.5) * (radius + 0.5)
    inside = False
    for x in range(low[y], high[y] + 1):
        square = distance[y, x]
        distance[y, x] = np.inf
        if square >= reach:
            inside = False
            continue
        if not inside:
            n_runs = _start_run(s, y, x, used, runs, n_runs)
            inside = True
        if square < 0:
            cover[used], tags[used] = 1, -1
        else:
            d = math.sqrt(square)
            outer, inner = radius - d + 0.5, 0.5 - radius - d
            cover[used] = min(max(outer, 0.0), 1.0) - min(max(inner, 0.0), 1.0)
            tags[used] = tag[y, x]
        used += 1
    return n_runs, used


@helper
def _emit_fill(s, y, winding, low, high, runs, n_runs, cover, tags, used):
    """Turn a row of winding changes into runs and clear it."""
    tiny = 1e-5 if cover.itemsize == 4 else 1e-13  # rounding left over where windings cancel
    inside = False
    total = 0.0
    for x in range(low[y], high[y] + 1):
        total += winding[y, x]
        winding[y, x] = 0
        if abs(total) <= tiny:
            inside = False
            continue
        if not inside:
            n_runs = _start_run(s, y, x, used, runs, n_runs)
            inside = True
        cover[used] = min(abs(total), 1.0)
        tags[used] = 0 if abs(total) > 1 else (1 if total > 0 else -1)
        used += 1
    winding[y, max(high[y], -1) + 1] = 0  # what was cut off on the right
    return n_runs, used


@helper
def _blend(colors, s, runs, start, stop, cover, out):
    """Composite the runs of shape `s` source-over."""
    red, green, blue, opacity = colors[s, 0], colors[s, 1], colors[s, 2], colors[s, 3]
    for k in range(start, stop):
        y, x, base = runs[k, 1], runs[k, 2], runs[k, 3]
        for i in range(runs[k + 1, 3] - base):
            alpha = opacity * cover[base + i]
            rest = 1 - alpha
            out[0, y, x + i] = rest * out[0, y, x + i] + alpha * red
            out[1, y, x + i] = rest * out[1, y, x + i] + alpha * green
            out[2, y, x + i] = rest * out[2, y, x + i] + alpha * blue
            out[3, y, x + i] = rest * out[3, y, x + i]
