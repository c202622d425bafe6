"""Path data of an SVG → chains of cubic Bézier curves, in time proportional to its length."""

from __future__ import annotations

import math
import re

import numpy as np

from guidance.vector.svg.geometry import Chain, Point, line, mix

_NUMBER = re.compile(r"[\s,]*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)")
_FLAG = re.compile(r"[\s,]*([01])")
_COMMAND = re.compile(r"[\s,]*([MmZzLlHhVvCcSsQqTtAa])")
_SIZES = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
KAPPA = 4 / 3  # × tan(angle / 4): how far the controls of a circle's arc are from its ends


class Outline:
    """Builds chains as a pen moves."""

    def __init__(self) -> None:
        self._chains: list[Chain] = []
        self._points: list[Point] = []
        self.start: Point = (0.0, 0.0)  # of the sub-path
        self.here: Point = (0.0, 0.0)
        self._begun = False

    def move(self, to: Point) -> None:
        """Begin a sub-path."""
        self._end()
        self.start = self.here = to
        self._begun = True

    def line(self, to: Point) -> None:
        """Draw a straight line."""
        self._add(line(self.here, to))

    def cubic(self, one: Point, two: Point, to: Point) -> None:
        """Draw a cubic Bézier curve."""
        self._add([one, two, to])

    def quadratic(self, control: Point, to: Point) -> None:
        """Draw a quadratic Bézier curve."""
        self._add([mix(self.here, control, 2 / 3), mix(to, control, 2 / 3), to])

    def arc(self, rx: float, ry: float, turn: float, large: bool, sweep: bool, to: Point) -> None:
        """Draw an elliptical arc, `turn` in degrees: SVG 1.1, appendix F.6.5 and F.6.6."""
        rx, ry = abs(rx), abs(ry)
        if self.here == to:
            return
        if not (rx > 0 and ry > 0) or not all(map(math.isfinite, (rx, ry, turn, *to, *self.here))):
            self.line(to)
            return
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        dx, dy = (self.here[0] - to[0]) / 2, (self.here[1] - to[1]) / 2
        # Both ends on the unit circle's scale, around their middle.
        x, y = (cos * dx + sin * dy) / rx, (cos * dy - sin * dx) / ry
        size = math.hypot(x, y)
        if not 0 < size < 1e150:
            self.line(to)
            return
        if size > 1:
            rx, ry, x, y, size = rx * size, ry * size, x / size, y / size, 1.0
        off = math.sqrt(max(0.0, 1 / size**2 - 1)) * (-1 if large == sweep else 1)
        cx, cy = off * y, -off * x
        first = math.atan2(y - cy, x - cx)
        sweeps = math.atan2(-y - cy, -x - cx) - first
        if sweep and sweeps <= 0:
            sweeps += 2 * math.pi
        elif not sweep and sweeps >= 0:
            sweeps -= 2 * math.pi
        mx, my = (self.here[0] + to[0]) / 2, (self.here[1] + to[1]) / 2

        def place(u: float, v: float) -> Point:
            u, v = (u + cx) * rx, (v + cy) * ry
            return (cos * u - sin * v + mx, sin * u + cos * v + my)

        n = max(1, math.ceil(abs(sweeps) / (math.pi / 2) - 1e-9))
        k = KAPPA * math.tan(sweeps / n / 4)
        for i in range(n):
            a, b = (first + sweeps * j / n for j in (i, i + 1))
            self._add(
                [
                    place(math.cos(a) - k * math.sin(a), math.sin(a) + k * math.cos(a)),
                    place(math.cos(b) + k * math.sin(b), math.sin(b) - k * math.cos(b)),
                    to if i == n - 1 else place(math.cos(b), math.sin(b)),
                ]
            )

    def close(self) -> None:
        """Draw a line to where the sub-path began, and end it."""
        if not self._points and not self._begun:  # closed already
            return
        self._points = self._points or [self.here]
        self._begun = False
        if self.here != self.start:
            self.line(self.start)
        self._end(closed=True)
        self.here = self.start

    def chains(self) -> list[Chain]:
        """Return all that was drawn."""
        self._end()
        return self._chains

    def _add(self, points: list[Point]) -> None:
        if not self._points:
            self._points = [self.here]
        self._points += points
        self.here = points[-1]

    def _end(self, closed: bool = False) -> None:
        if self._points:
            self._chains.append(Chain(np.array(self._points, dtype=np.float64), closed))
        self._points = []


def parse_path(data: str) -> tuple[list[Chain], bool]:
    """Return the sub-paths of `data`, up to the first error as in browsers; and if it had none."""
    pen, position, command, control = Outline(), 0, "", None
    begun, last = False, len(data.rstrip(" \t\r\n\f,"))
    while True:
        found = _COMMAND.match(data, position)
        if found:
            command, position = found[1], found.end()
            if not begun and command not in "Mm":
                return pen.chains(), False
            begun = True
        elif position >= last:
            return pen.chains(), True
        elif command in ("", "Z", "z"):
            return pen.chains(), False
        values = []
        for i in range(_SIZES[command.upper()]):
            flag = command in "Aa" and i in (3, 4)
            number = (_FLAG if flag else _NUMBER).match(data, position)
            if number is None:
                return pen.chains(), False
            values.append(float(number[1]))
            position = number.end()
        control = _draw(pen, command, values, control)
        command = {"M": "L", "m": "l"}.get(command, command)


def _draw(pen: Outline, command: str, values: list[float], control: tuple | None) -> tuple | None:
    """Do one command; return its kind and last control point, for a smooth one that follows."""
    kind = command.upper()
    x, y = pen.here if command.islower() else (0.0, 0.0)
    if kind == "A":
        rx, ry, turn, large, sweep, to_x, to_y = values
        pen.arc(rx, ry, turn, large == 1, sweep == 1, (to_x + x, to_y + y))
        return None
    if kind in "HV":
        value = values[0]
        pen.line((value + x, pen.here[1]) if kind == "H" else (pen.here[0], value + y))
        return None
    points = [(u + x, v + y) for u, v in zip(values[::2], values[1::2], strict=True)]
    if kind == "Z":
        pen.close()
    elif kind == "M":
        pen.move(points[0])
    elif kind == "L":
        pen.line(points[0])
    else:
        family = "C" if kind in "CS" else "Q"
        if kind in "ST":  # mirrors the control before
            before = control[1] if control and control[0] == family else pen.here
            points.insert(0, (2 * pen.here[0] - before[0], 2 * pen.here[1] - before[1]))
        (pen.cubic if family == "C" else pen.quadratic)(*points)
        return family, points[-2]
    return None
