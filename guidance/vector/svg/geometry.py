"""Chains of cubic Bézier curves: what all outlines of an SVG are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guidance.vector.svg.values import Matrix

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom
Shape = tuple[np.ndarray, float, list[float], bool]  # [P, 2] points, stroke width, RGBA, closed


@dataclass(frozen=True)
class Chain:
    """One sub-path: ``[3 n + 1, 2]`` control points of joined cubics, and whether it is closed.

    A closed chain ends where it starts. A single point (n = 0) is kept: round caps make it a dot.
    """

    points: np.ndarray
    closed: bool = False

    def moved(self, matrix: Matrix) -> Chain:
        """Return the chain under a transform."""
        a, b, c, d, e, f = matrix
        x, y = self.points.T
        return Chain(np.stack([a * x + c * y + e, b * x + d * y + f], 1), self.closed)

    def length(self) -> float:
        """Return how long the curve is, to about a thousandth."""
        n = (len(self.points) - 1) // 3
        if n == 0:
            return 0.0
        corners = np.stack([self.points[i : i + 3 * n : 3] for i in range(4)], 1)  # [n, 4, 2]
        t = np.linspace(0.0, 1.0, 17)[:, None]
        weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
        steps = np.diff(np.einsum("tk,nkx->ntx", weights, corners), axis=1)
        return float(np.hypot(*np.moveaxis(steps, -1, 0)).sum())

    def is_dot(self) -> bool:
        """Return whether all control points are one."""
        return bool((self.points == self.points[0]).all())


def line(a: Point, b: Point) -> list[Point]:
    """Return a straight line as a cubic, without its start."""
    return [mix(a, b, 1 / 3), mix(b, a, 1 / 3), b]


def mix(a: Point, b: Point, t: float) -> Point:
    """Return the point a share `t` of the way from `a` to `b`."""
    return (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]))


def join(chains: list[Chain]) -> np.ndarray:
    """Return one closed chain around all rings; the seams between them are passed both ways."""
    start = tuple(chains[0].points[0])
    parts = [chains[0].points[:1]]
    for chain in chains:
        first, last = tuple(chain.points[0]), tuple(chain.points[-1])
        if first != start:
            parts.append(np.array(line(start, first)))
        parts.append(chain.points[1:])
        if last != first:
            parts.append(np.array(line(last, first)))
        if first != start:
            parts.append(np.array(line(first, start)))
    return np.concatenate(parts)
