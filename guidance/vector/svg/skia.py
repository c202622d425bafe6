"""Chains of cubics ↔ the paths of Skia, and what can be told from them.

Skia works best around a thousand units, so all is scaled on the way in and back.
"""

from __future__ import annotations

import numpy as np
import pathops

from guidance.vector.svg.geometry import Box, Chain, line

FAR = 2.0**20  # scaled units; Skia's numbers are too coarse beyond


def count(chains: list[Chain]) -> int:
    """Return the number of segments, and of what has none."""
    return sum(max(1, len(chain.points) // 3) for chain in chains)


def to_path(chains: list[Chain], scale: float, *, closed: bool) -> pathops.Path:
    """Return chains as one path; `closed` closes those that are open, too."""
    path = pathops.Path()
    for chain in chains:
        points = np.nan_to_num(chain.points * scale).clip(-FAR, FAR).tolist()
        path.moveTo(*points[0])
        for i in range(1, len(points) - 2, 3):
            if _is_straight(points[i - 1 : i + 3]):
                path.lineTo(*points[i + 2])
            else:
                path.cubicTo(*points[i], *points[i + 1], *points[i + 2])
        if closed or chain.closed:
            path.close()
    return path


def _is_straight(points: list[list[float]]) -> bool:
    """Return whether a cubic is a line at even pace, as `line` makes it."""
    a, b, c, d = points
    away = max(abs(2 * a[k] + d[k] - 3 * b[k]) + abs(a[k] + 2 * d[k] - 3 * c[k]) for k in (0, 1))
    return away <= 1e-9 * max(1.0, *map(abs, a), *map(abs, d))


def segments(path: pathops.Path):
    """Yield verb and points, its start first, of every line and curve."""
    here = first = None
    for verb, points in path:
        if verb == pathops.PathVerb.MOVE:
            first = points[0]
        elif points:
            yield verb, (here, *points)
        elif here != first:
            yield pathops.PathVerb.LINE, (here, first)
        here = points[-1] if points else first


def to_chains(path: pathops.Path, scale: float) -> list[Chain]:
    """Return the rings of a path as closed chains."""
    rings: list[list] = []
    for verb, points in path:
        if verb == pathops.PathVerb.MOVE:
            rings.append([points[0]])
            continue
        if not points:
            if rings[-1][-1] != rings[-1][0]:
                rings[-1] += line(rings[-1][-1], rings[-1][0])
            continue
        a, b = rings[-1][-1], points[-1]
        if verb == pathops.PathVerb.QUAD:
            control = points[0]
            rings[-1] += [
                tuple(p + 2 / 3 * (q - p) for p, q in zip(end, control, strict=True))
                for end in (a, b)
            ]
            rings[-1].append(b)
        else:
            rings[-1] += points if verb == pathops.PathVerb.CUBIC else line(a, b)
    return [
        Chain(np.array(ring, dtype=np.float64) / scale, True) for ring in rings if len(ring) > 1
    ]


def upright_box(chains: list[Chain]) -> Box | None:
    """Return the box of a single upright rectangle, None for any other shape."""
    if len(chains) != 1 or len(chains[0].points) != 13:
        return None
    corners = chains[0].points[::3]
    steps = np.diff(corners, axis=0) != 0
    if not (corners[0] == corners[-1]).all() or not (steps.sum(1) == 1).all():
        return None
    if (steps[:-1] == steps[1:]).all(1).any():
        return None
    inner = chains[0].points
    if not all(_is_straight(inner[i - 1 : i + 3].tolist()) for i in (1, 4, 7, 10)):
        return None
    return (*corners.min(0).tolist(), *corners.max(0).tolist())
