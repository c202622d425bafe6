"""The rasteriser's inner loops, compiled by numba: one strip of rows at a time.

A strip belongs to one thread and writes only its own results, so nothing depends on which thread
does what. Within a strip, shapes are traced in painting order into buffers of the strip's size,
then turned into runs, horizontal stretches of covered pixels, and composited. Runs, with coverage
and tag of their pixels, are all that the backward pass needs.

Throughout: `vertices` [V, 2] in pixels, `first` [N] the first vertex of each segment, `offsets`
[S + 1] the segments of each shape, `top` the strip's first row, `low` and `high` [rows] the
columns a shape has touched. Arithmetic is in float64, storage in the scene's dtype.

All kernels are in one file because numba's cache notices changes to a function's own file only.
"""

from __future__ import annotations

import math

import numba
import numpy as np


def _compiled(function):
    """Compile `function` to run without the interpreter's lock, cached on disk where possible."""
    # Sums may be reordered for vector units; infinities and NaN keep their meaning.
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder it may write its cache to
        return numba.njit(**options)(function)


@_compiled
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
        rows[s, 0] = height if beside else _clipped(math.floor(y_low - margin), 0, height)
        rows[s, 1] = _clipped(math.floor(y_high + margin), -1, height - 1)
    return rows


@_compiled
def _clipped(x, low, high):
    # Clip before the conversion: a float beyond the range of integers has no defined one.
    return int(min(max(x, low), high))


@_compiled
def paint_strip(vertices, first, offsets, radii, colors, closed, rows, top, out):
    """Composite all shapes into `out` [4, rows, W], premultiplied RGB and transmittance.

    Returns:
        runs ``[R + 1, 4]`` int64: shape, row in the strip, first column, and where its pixels
        begin, with a last entry that says where all pixels end; then coverage ``[F]`` and tag
        ``[F]`` int32 of the pixels.
    """
    _, n, width = out.shape
    distance = np.full((n, width), np.inf, vertices.dtype)
    winding = np.zeros((n, width + 1), vertices.dtype)
    tag = np.empty((n, width), np.int32)
    low, high = np.full(n, width), np.full(n, -1)
    runs = np.empty((256, 4), np.int64)
    cover, tags = np.empty(4096, vertices.dtype), np.empty(4096, np.int32)
    n_runs = used = 0
    out[:3] = 0
    out[3] = 1
    for s in range(len(closed)):
        if rows[s, 0] >= top + n or rows[s, 1] < top:
            continue
        begin, end = offsets[s], offsets[s + 1]
        if closed[s]:
            _trace_fill(vertices, first, begin, end, top, winding, low, high)
        else:
            _trace_stroke(vertices, first, begin, end, radii[s], top, distance, tag, low, high)
        need = np.maximum(high - low + 1, 0).sum()
        if used + need > len(cover):
            cover, tags = _grown(cover, used + need), _grown(tags, used + need)
        if n_runs + need + 1 > len(runs):  # a run has at least one pixel
            runs = _grown(runs, n_runs + need + 1)
        start = n_runs
        for y in range(n):
            if closed[s]:
                n_runs, used = _emit_fill(s, y, winding, low, high, runs, n_runs, cover, tags, used)
            else:
                n_runs, used = _emit_stroke(
                    s, y, radii[s], distance, tag, low, high, runs, n_runs, cover, tags, used
                )
            low[y], high[y] = width, -1
        runs[n_runs, 3] = used
        _blend(colors[s], runs[start : n_runs + 1], cover, out)
    runs[n_runs, 3] = used
    return runs[: n_runs + 1].copy(), cover[:used].copy(), tags[:used].copy()


@_compiled
def _grown(x, need):
    larger = np.empty((2 * need, *x.shape[1:]), x.dtype)
    larger[: len(x)] = x
    return larger


@_compiled
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
        y_first = _clipped(math.ceil(min(ay, by) - reach - 0.5), top, top + n)
        y_last = _clipped(math.floor(max(ay, by) + reach - 0.5), top - 1, top + n - 1)
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
            distance[k, in_low : in_high + 1] = -1
            _measure(ax, ay, bx, by, y, out_low, in_low, i, distance[k], tag[k])
            _measure(ax, ay, bx, by, y, in_high + 1, out_high + 1, i, distance[k], tag[k])


@_compiled
def _measure(ax, ay, bx, by, y, begin, end, segment, distance, tag):
    """Lower `distance` to that from the segment, in columns `begin` to `end` of a row."""
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    inverse = 1 / square if square > 0 else 0.0
    py = y - ay
    for x in range(begin, end):
        px = x + 0.5 - ax
        t = min(max((px * dx + py * dy) * inverse, 0.0), 1.0)
        qx, qy = px - t * dx, py - t * dy
        square = qx * qx + qy * qy
        if square < distance[x]:
            distance[x] = square
            tag[x] = segment


@_compiled
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
        _clipped(math.ceil(left - 0.5), 0, width),
        _clipped(math.floor(right - 0.5), -1, width - 1),
    )


@_compiled
def _trace_fill(vertices, first, begin, end, top, winding, low, high):
    """Add to `winding` how the winding number changes from each pixel's left neighbour to it.

    The winding of a pixel, averaged over its area, is the sum over segments of the area to their
    right, counted positive where the segment goes down.
    """
    n, width = winding.shape[0], winding.shape[1] - 1
    for i in range(begin, end):
        ax, ay = vertices[first[i], 0], vertices[first[i], 1]
        bx, by = vertices[first[i] + 1, 0], vertices[first[i] + 1, 1]
        y_first = _clipped(math.floor(min(ay, by)), top, top + n)
        y_last = _clipped(math.floor(max(ay, by)), top - 1, top + n - 1)
        for row in range(y_first, y_last + 1):
            t0, t1 = _crossing(ay, by, row)
            x0, x1 = ax + t0 * (bx - ax), ax + t1 * (bx - ax)
            x_first = _clipped(math.floor(min(x0, x1)), 0, width)
            x_last = _clipped(math.floor(max(x0, x1)), -1, width - 1)
            k = row - top
            low[k], high[k] = min(low[k], x_first, width - 1), max(high[k], x_last, 0)
            height = (t1 - t0) * (by - ay)
            before = 0.0
            for x in range(x_first, x_last + 1):
                area = height * _mean_of_clamp(x + 1 - x0, x + 1 - x1)
                winding[k, x] += area - before
                before = area
            winding[k, max(x_last + 1, x_first)] += height - before


@_compiled
def _crossing(a, b, low):
    """Return from where to where, t0 <= t1 in [0, 1], ``a + t (b - a)`` is in [low, low + 1]."""
    run = b - a
    if run == 0:
        return 0.0, 1.0
    enter, leave = (low - a) / run, (low + 1 - a) / run
    return min(max(min(enter, leave), 0.0), 1.0), min(max(max(enter, leave), 0.0), 1.0)


@_compiled
def _mean_of_clamp(u0, u1):
    """Return the mean of ``clamp(u, 0, 1)`` for `u` running evenly from `u0` to `u1`."""
    low, high = min(u0, u1), max(u0, u1)
    if low >= 1:
        return 1.0
    if high - low < 1e-8:
        return min(max((low + high) / 2, 0.0), 1.0)
    bottom, top = min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
    return ((top * top - bottom * bottom) / 2 + max(high - 1, 0.0)) / (high - low)


@_compiled
def _emit_stroke(s, y, radius, distance, tag, low, high, runs, n_runs, cover, tags, used):
    """Turn a row of distances into runs and clear it. A wholly covered pixel has tag -1."""
    reach = (radius + 0.5) * (radius + 0.5)
    inside = False
    for x in range(low[y], high[y] + 1):
        square = distance[y, x]
        distance[y, x] = np.inf
        if square >= reach:
            inside = False
            continue
        if not inside:
            runs[n_runs] = s, y, x, used
            n_runs += 1
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


@_compiled
def _emit_fill(s, y, winding, low, high, runs, n_runs, cover, tags, used):
    """Turn a row of winding changes into runs and clear it.

    The tag is the slope of the coverage in the winding number: its sign, or 0 beyond 1.
    """
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
            runs[n_runs] = s, y, x, used
            n_runs += 1
            inside = True
        cover[used] = min(abs(total), 1.0)
        tags[used] = 0 if abs(total) > 1 else (1 if total > 0 else -1)
        used += 1
    winding[y, max(high[y], -1) + 1] = 0  # what was cut off on the right
    return n_runs, used


@_compiled
def _blend(color, runs, cover, out):
    """Composite the runs of one shape source-over."""
    red, green, blue, opacity = color[0], color[1], color[2], color[3]
    for k in range(len(runs) - 1):
        y, x, start = runs[k, 1], runs[k, 2], runs[k, 3]
        for i in range(runs[k + 1, 3] - start):
            alpha = opacity * cover[start + i]
            rest = 1 - alpha
            out[0, y, x + i] = rest * out[0, y, x + i] + alpha * red
            out[1, y, x + i] = rest * out[1, y, x + i] + alpha * green
            out[2, y, x + i] = rest * out[2, y, x + i] + alpha * blue
            out[3, y, x + i] = rest * out[3, y, x + i]
