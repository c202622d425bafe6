"""Areas of an SVG: outlines of strokes, dashes, intersections (Skia's path operations).

All coordinates are pixels of the canvas. Skia works best around a thousand units, so paths are
scaled by a power of two on the way in and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pathops

from guidance.clipdraw.svg_geometry import Chain, line
from guidance.clipdraw.svg_values import Matrix, scale_of

MAX_DASHES = 10_000  # of a whole drawing
MAX_CROSSINGS = 100_000  # pairs of segments that may cross, of a whole drawing; curves count 16
FAR = 2.0**20  # scaled units; Skia's numbers are too coarse beyond
MAX_SEGMENTS = 4_000  # of one path that is cut
_CAPS = {"butt": pathops.LineCap.BUTT_CAP, "round": pathops.LineCap.ROUND_CAP,
         "square": pathops.LineCap.SQUARE_CAP}  # fmt: skip
_JOINS = {"miter": pathops.LineJoin.MITER_JOIN, "round": pathops.LineJoin.ROUND_JOIN,
          "bevel": pathops.LineJoin.BEVEL_JOIN}  # fmt: skip
_WAYS = {"intersect": pathops.PathOp.INTERSECTION, "unite": pathops.PathOp.UNION,
         "subtract": pathops.PathOp.DIFFERENCE}  # fmt: skip

Box = tuple[float, float, float, float]  # left, top, right, bottom


class TooComplex(Exception):
    """An area would take too long to cut, or Skia cannot."""


@dataclass(frozen=True)
class Pen:
    """How a stroke is drawn, in user units."""

    width: float
    cap: str = "butt"
    join: str = "miter"
    miter: float = 4.0
    dashes: tuple[float, ...] = ()
    offset: float = 0.0


@dataclass(frozen=True)
class Region:
    """An area: its path in scaled units, and its box where it is an upright rectangle."""

    path: pathops.Path
    rectangle: Box | None = None


class Knife:
    """Cuts the areas of one drawing and keeps account of what that takes.

    Args:
        longest: the longer side of the canvas, pixels.
    """

    def __init__(self, longest: float) -> None:
        self._scale = 2.0 ** round(math.log2(1000.0 / longest))
        self._crossings = 0
        self._dashes = 0

    def region(self, chains: list[Chain], even_odd: bool = False) -> Region:
        """Return the area that a fill covers."""
        path = _path(chains, self._scale, closed=True)
        if even_odd:
            path.fillType = pathops.FillType.EVEN_ODD
        return Region(path, _upright(chains))

    def empty(self) -> Region:
        """Return the area of nothing."""
        return Region(pathops.Path())

    def chains(self, region: Region) -> list[Chain]:
        """Return the rings around an area, for the non-zero rule."""
        return _chains(region.path, self._scale)

    def combine(self, one: Region, other: Region, how: str) -> Region:
        """Return the intersection, union or difference of two areas.

        Raises:
            TooComplex: it takes too long or does not succeed.
        """
        if how == "intersect":
            for a, b in ((one, other), (other, one)):
                if a.rectangle and self._holds(a.rectangle, b.path):
                    odd = b.path.fillType == pathops.FillType.EVEN_ODD
                    return self.simplified(b) if odd else b
        self._spend(one.path, other.path)
        try:
            path = pathops.op(one.path, other.path, _WAYS[how], fix_winding=True)
        except pathops.PathOpsError as error:
            raise TooComplex from error
        both = one.rectangle and other.rectangle and how == "intersect"
        return Region(path, _upright(_chains(path, self._scale)) if both else None)

    def simplified(self, region: Region) -> Region:
        """Return the same area for the non-zero rule.

        Raises:
            TooComplex: it takes too long or does not succeed.
        """
        self._spend(region.path)
        try:
            return Region(pathops.simplify(region.path, fix_winding=True), region.rectangle)
        except pathops.PathOpsError as error:
            raise TooComplex from error

    def outline(self, chains: list[Chain], pen: Pen, matrix: Matrix) -> Region:
        """Return the area of a stroke whose `chains` and `pen` are in user units.

        Raises:
            TooComplex: there are too many dashes.
        """
        grow = (scale_of(matrix) or 1.0) * self._scale
        dashes = self._dashing(chains, pen)
        area = pathops.Path()
        for chain in chains:
            path = _path([chain], grow, closed=False)
            path.stroke(
                pen.width * grow,
                _CAPS[pen.cap],
                _JOINS[pen.join],
                pen.miter,
                [x * grow for x in dashes] or None,
                pen.offset % (sum(dashes) or 1.0) * grow,
            )
            path.convertConicsToQuads(0.05)
            area.addPath(path)
        a, b, c, d, e, f = matrix
        k = self._scale / grow
        area = area.transform(k * a, k * b, k * c, k * d, e * self._scale, f * self._scale)
        return Region(area)

    def parts(self, region: Region) -> list[Region]:
        """Return every ring of an area by itself."""
        return [Region(_path([chain], self._scale, closed=True)) for chain in self.chains(region)]

    def box(self, region: Region) -> Box | None:
        """Return the bounds of an area, None if there is none."""
        if not list(region.path.verbs):
            return None
        return tuple(x / self._scale for x in region.path.bounds)

    def _dashing(self, chains: list[Chain], pen: Pen) -> tuple[float, ...]:
        """Return the dash pattern, even in number; empty for an unbroken line."""
        dashes = pen.dashes * (1 + len(pen.dashes) % 2)
        if not dashes or min(dashes) < 0 or sum(dashes) <= 0:
            return ()
        length = sum(
            float(np.linalg.norm(np.diff(chain.points, axis=0), axis=1).sum()) for chain in chains
        )
        self._dashes += max(1, math.ceil(min(length / sum(dashes), 1e9)) * len(dashes) // 2)
        if not math.isfinite(length) or self._dashes > MAX_DASHES:
            raise TooComplex
        return dashes

    def _holds(self, box: Box, path: pathops.Path) -> bool:
        left, top, right, bottom = (x / self._scale for x in path.controlPointBounds)
        return box[0] <= left and box[1] <= top and right <= box[2] and bottom <= box[3]

    def _spend(self, *paths: pathops.Path) -> None:
        """Refuse what would take long: Skia compares segments whose boxes overlap."""
        boxes, weights = [], []
        for path in paths:
            for verb, points in _segments(path):
                boxes.append((*np.min(points, 0), *np.max(points, 0)))
                weights.append(4 if verb in (pathops.PathVerb.CUBIC, pathops.PathVerb.QUAD) else 1)
        if len(boxes) > MAX_SEGMENTS:
            raise TooComplex
        if not boxes:
            return
        self._crossings += len(boxes) ** 2 // 4000 + len(boxes) // 10
        left, top, right, bottom = np.array(boxes).T
        if not np.isfinite(left + top + right + bottom).all():
            raise TooComplex
        weight = np.array(weights)
        for i in range(len(boxes)):
            near = (left < right[i]) & (right > left[i]) & (top < bottom[i]) & (bottom > top[i])
            self._crossings += int(weight[i] * (weight[:i] * near[:i]).sum())
            if self._crossings > MAX_CROSSINGS:
                raise TooComplex


def _path(chains: list[Chain], scale: float, *, closed: bool) -> pathops.Path:
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


def _segments(path: pathops.Path):
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


def _chains(path: pathops.Path, scale: float) -> list[Chain]:
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


def _upright(chains: list[Chain]) -> Box | None:
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
