"""What is written in attributes and style sheets of an SVG: numbers, lengths, colours, transforms.

Every pattern here takes time in proportion to the text. What looks like a number and is none is
an error of the drawing (`ValueError`); a word that is not understood is None.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from tinycss2.color4 import parse_color

Matrix = tuple[float, float, float, float, float, float]  # x' = a x + c y + e, y' = b x + d y + f

BACKGROUND_ID = "background"  # of the rectangle that stands for the background, not for a shape
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_LENGTH = re.compile(rf"\s*({_NUMBER})\s*(%|[A-Za-z]*)\s*")
_LIST = re.compile(_NUMBER)
_CALL = re.compile(r"([A-Za-z]+)\s*\(([^()]*)\)[\s,]*")
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0,
          "q": 96 / 101.6}  # fmt: skip
_FONT_UNITS = {"em": 1.0, "rem": 1.0, "ex": 0.5, "ch": 0.5}
_ANGLES = {"": 1.0, "deg": 1.0, "rad": 180 / math.pi, "grad": 0.9, "turn": 360.0}
_LONGEST = 100  # letters of one number


@lru_cache(maxsize=4096)
def measure(text: str) -> tuple[float, str] | None:
    """Return a number and its unit, or None for a word.

    Raises:
        ValueError: `text` begins like a number but is none, or its unit is unknown.
    """
    match = _LENGTH.fullmatch(text) if len(text) <= _LONGEST else None
    if match:
        unit = match[2].lower()
        if unit in ("vw", "vh", "vmin", "vmax"):  # of a window, which there is not
            return None
        if unit == "%" or unit in _UNITS or unit in _FONT_UNITS or unit in _ANGLES:
            return float(match[1]), unit
    if re.match(r"\s*[+-]?\.?\d", text) or text.strip().lower() in ("nan", "infinity"):
        raise ValueError(text)
    return None


def length(text: str | None, font_size: float, whole: float) -> float | None:
    """Return a length in user units; `whole` is what ``100%`` stands for."""
    found = measure(text) if text is not None else None
    return None if found is None else _user_units(*found, font_size, whole)


def _user_units(value: float, unit: str, font_size: float, whole: float) -> float:
    if unit == "%":
        return value / 100 * whole
    if unit in _FONT_UNITS:
        return value * _FONT_UNITS[unit] * (16.0 if unit == "rem" else font_size)
    return value * _UNITS.get(unit, 1.0)


def fraction(text: str | None) -> float:
    """Return an opacity such as ``0.5`` or ``50%`` in [0, 1]; 1 where there is none."""
    found = measure(text) if text is not None else None
    if found is None:
        return 1.0
    return min(max(found[0] / (100 if found[1] == "%" else 1), 0.0), 1.0)


def numbers(text: str) -> list[float]:
    """Return the numbers of a list such as a view box."""
    return [float(x) for x in _LIST.findall(text[: 100 * _LONGEST])]


@lru_cache(maxsize=4096)
def colour(text: str) -> tuple[float, float, float, float] | str | None:
    """Return a CSS colour as RGBA in [0, 1], ``"currentcolor"``, or None for what is no colour."""
    if len(text) > 2 * _LONGEST:
        return None
    try:
        found = parse_color(text)
        if found is None or found == "currentcolor":
            return found
        red, green, blue = found.to("srgb").coordinates
        rgba = [0.0 if x is None else float(x) for x in (red, green, blue, found.alpha)]
    except (ValueError, ArithmeticError, NotImplementedError, RecursionError, AttributeError):
        return None  # spaces wider than sRGB; numbers beyond all bounds
    red, green, blue, alpha = (min(max(x, 0.0), 1.0) if x == x else 0.0 for x in rgba)
    return red, green, blue, alpha


def multiply(outer: Matrix, inner: Matrix) -> Matrix:
    """Return the matrix that applies `inner` first."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j,
            a * k + c * m + e, b * k + d * m + f)  # fmt: skip


def scale_of(matrix: Matrix) -> float:
    """Return by how much lengths grow, the geometric mean over directions."""
    a, b, c, d, _, _ = matrix
    return math.sqrt(abs(a * d - b * c))


def is_even(matrix: Matrix) -> bool:
    """Return whether lengths grow the same in all directions."""
    a, b, c, d, _, _ = matrix
    size = a * a + b * b + c * c + d * d
    return abs(a * a + b * b - c * c - d * d) + 2 * abs(a * c + b * d) <= 1e-6 * size


@lru_cache(maxsize=4096)
def transform(text: str, font_size: float, whole: tuple[float, float]) -> Matrix | None:
    """Return the matrix of a ``transform`` attribute or property, None where it is not valid."""
    text = text.strip()
    matrix, position = IDENTITY, 0
    if text.lower() == "none":
        return matrix
    while position < len(text):
        call = _CALL.match(text, position)
        if call is None:
            return None
        step = _step(call[1].lower(), call[2], font_size, whole)
        if step is None:
            return None
        matrix = multiply(matrix, step)
        position = call.end()
    return matrix


def _step(name: str, inner: str, font_size: float, whole: tuple[float, float]) -> Matrix | None:
    raw = re.findall(rf"{_NUMBER}(?:%|[A-Za-z]+)?", inner[: 10 * _LONGEST])
    try:
        values = [found for x in raw if (found := measure(x)) is not None]
    except ValueError:
        return None
    if len(values) < len(raw):  # a length of a window
        return None
    sizes = [_user_units(*found, font_size, whole[i % 2]) for i, found in enumerate(values)]
    plain = [value for value, _ in values]
    if not all(map(math.isfinite, plain)):
        return None
    turns = [math.radians(value * _ANGLES.get(unit, 1.0)) for value, unit in values]
    n = len(raw)
    if name == "matrix" and n == 6:
        a, b, c, d, e, f = plain
        return (a, b, c, d, e, f)
    if name == "translate" and n in (1, 2):
        return (1.0, 0.0, 0.0, 1.0, sizes[0], sizes[1] if n == 2 else 0.0)
    if name in ("translatex", "translatey") and n == 1:
        moved = _user_units(*values[0], font_size, whole[name == "translatey"])
        x, y = (moved, 0.0) if name == "translatex" else (0.0, moved)
        return (1.0, 0.0, 0.0, 1.0, x, y)
    if name == "scale" and n in (1, 2):
        return (plain[0], 0.0, 0.0, plain[-1], 0.0, 0.0)
    if name in ("scalex", "scaley") and n == 1:
        x, y = (plain[0], 1.0) if name == "scalex" else (1.0, plain[0])
        return (x, 0.0, 0.0, y, 0.0, 0.0)
    if name == "rotate" and n in (1, 3):
        cos, sin = math.cos(turns[0]), math.sin(turns[0])
        x, y = plain[1:] if n == 3 else (0.0, 0.0)
        return (cos, sin, -sin, cos, x - cos * x + sin * y, y - sin * x - cos * y)
    if name == "skewx" and n == 1:
        return (1.0, 0.0, math.tan(turns[0]), 1.0, 0.0, 0.0)
    if name == "skewy" and n == 1:
        return (1.0, math.tan(turns[0]), 0.0, 1.0, 0.0, 0.0)
    return None


@dataclass(frozen=True)
class ViewBox:
    """``viewBox`` and ``preserveAspectRatio``: how a viewport's content is fitted into it."""

    x: float
    y: float
    width: float
    height: float
    fit: str = "xMidYMid meet"

    @classmethod
    def parse(cls, box: str | None, fit: str | None) -> ViewBox | None:
        """Return the view box, or None where there is none that makes sense."""
        values = numbers(box or "")
        if len(values) != 4 or not all(map(math.isfinite, values)) or min(values[2:]) < 0:
            return None
        return cls(*values, fit=" ".join((fit or "").split()).lower() or "xmidymid meet")

    def matrix(self, width: float, height: float) -> Matrix:
        """Return the transform into a viewport of this size at the origin."""
        sx, sy = width / self.width, height / self.height
        words = self.fit.removeprefix("defer ").split(" ")
        where = words[0]
        if where == "none":
            return (sx, 0.0, 0.0, sy, -self.x * sx, -self.y * sy)
        scale = max(sx, sy) if words[-1] == "slice" else min(sx, sy)
        shares = {"min": 0.0, "mid": 0.5, "max": 1.0}
        left = shares.get(where[1:4], 0.5) * (width - self.width * scale)
        top = shares.get(where[5:8], 0.5) * (height - self.height * scale)
        return (scale, 0.0, 0.0, scale, left - self.x * scale, top - self.y * scale)
