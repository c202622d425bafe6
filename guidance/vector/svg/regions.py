"""Areas of an SVG: outlines of strokes, dashes, intersections (Skia's path operations).

All coordinates are pixels of the canvas. What takes long is counted and refused (`TooComplex`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pathops

from guidance.vector.svg.geometry import Box, Chain
from guidance.vector.svg.skia import count, segments, to_chains, to_path, upright_box
from guidance.vector.svg.values import Matrix, scale_of

MAX_DASHES = 10_000  # of a whole drawing
MAX_CROSSINGS = 100_000  # pairs of segments that may cross, of a whole drawing; curves count 16
MAX_COMPARED = 10_000_000  # pairs of shapes in see-through groups
MAX_OUTLINED = 20_000  # segments of all strokes that become areas
MAX_SEGMENTS = 4_000  # of one path that is cut
_CAPS = {"butt": pathops.LineCap.BUTT_CAP, "round": pathops.LineCap.ROUND_CAP,
         "square": pathops.LineCap.SQUARE_CAP}  # fmt: skip
_JOINS = {"miter": pathops.LineJoin.MITER_JOIN, "round": pathops.LineJoin.ROUND_JOIN,
          "bevel": pathops.LineJoin.BEVEL_JOIN}  # fmt: skip
_WAYS = {"intersect": pathops.PathOp.INTERSECTION, "unite": pathops.PathOp.UNION,
         "subtract": pathops.PathOp.DIFFERENCE}  # fmt: skip


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
        self._outlined = 0
        self._compared = 0

    def region(self, chains: list[Chain], even_odd: bool = False) -> Region:
        """Return the area that a fill covers.

        Raises:
            TooComplex: it has too many segments.
        """
        if count(chains) > MAX_SEGMENTS:
            raise TooComplex
        path = to_path(chains, self._scale, closed=True)
        if even_odd:
            path.fillType = pathops.FillType.EVEN_ODD
        return Region(path, upright_box(chains))

    def empty(self) -> Region:
        """Return the area of nothing."""
        return Region(pathops.Path())

    def chains(self, region: Region) -> list[Chain]:
        """Return the rings around an area, for the non-zero rule."""
        return to_chains(region.path, self._scale)

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
        return Region(path, upright_box(to_chains(path, self._scale)) if both else None)

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
            TooComplex: there are too many segments or dashes.
        """
        self._outlined += count(chains)
        if self._outlined > MAX_OUTLINED:
            raise TooComplex
        grow = (scale_of(matrix) or 1.0) * self._scale
        dashes = self._dashing(chains, pen)
        area = pathops.Path()
        for chain in chains:
            path = to_path([chain], grow, closed=False)
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

    def compares(self, n: int) -> bool:
        """Return whether there is time to compare all `n` shapes of a group with each other."""
        self._compared += n * (n + 500)  # as many pairs take as long as finding a shape's bounds
        return self._compared <= MAX_COMPARED

    def parts(self, region: Region) -> list[Region]:
        """Return every ring of an area by itself."""
        return [Region(to_path([chain], self._scale, closed=True)) for chain in self.chains(region)]

    def bounds(self, chains: list[Chain]) -> Box | None:
        """Return the bounds of what a fill covers, roughly where that is much."""
        if count(chains) <= MAX_SEGMENTS:
            return self.box(self.region(chains))
        points = np.concatenate([chain.points for chain in chains])
        return (*points.min(0).tolist(), *points.max(0).tolist())

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
        if sum(len(list(path.verbs)) for path in paths) > 2 * MAX_SEGMENTS:
            raise TooComplex
        boxes, weights = [], []
        for path in paths:
            for verb, points in segments(path):
                xs, ys = zip(*points, strict=True)
                boxes.append((min(xs), min(ys), max(xs), max(ys)))
                weights.append(4 if verb in (pathops.PathVerb.CUBIC, pathops.PathVerb.QUAD) else 1)
        n = len(boxes)
        if n > MAX_SEGMENTS:
            raise TooComplex
        if not boxes:
            return
        self._crossings += n**2 // 4000 + n // 10
        left, top, right, bottom = np.array(boxes).T[:, :, None]
        if not np.isfinite(left + top + right + bottom).all():
            raise TooComplex
        weight = np.array(weights)
        pairs, step = 0, max(1, 2**16 // n)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            near = (left[rows] < right.T) & (right[rows] > left.T)
            near &= (top[rows] < bottom.T) & (bottom[rows] > top.T)
            near &= np.arange(n)[rows, None] > np.arange(n)
            pairs += int(near.sum())
            self._crossings += int(weight[rows] @ (near @ weight))
            if self._crossings + pairs**2 // 1000 > MAX_CROSSINGS:
                self._crossings += pairs**2 // 1000
                raise TooComplex
        self._crossings += pairs**2 // 1000  # sorted anew at every crossing
