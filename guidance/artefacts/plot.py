"""Numbers → pictures: line charts drawn with Pillow, readable without colour vision.

Ticks fall on round numbers (Heckbert, "Nice Numbers for Graph Labels", Graphics Gems, 1990), and
the colours are those of Okabe and Ito ("Color Universal Design", 2008); from the ninth series on
they return as dashed lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from guidance.errors import InputError, unknown

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f3c8d", "#000000")
INK, GREY, GRID = "#222222", "#666666", "#e4e4e4"
SMOOTH = 3  # lines are drawn this many times larger and reduced, for Pillow's have hard edges
FONT, TITLE = 14, 18  # pixels
DOTS = 40  # series of no more points show each as a dot
MIN_SIZE, MAX_SIZE = 160, 8000  # pixels a side

Point = tuple[float, float]
Band = tuple[float, float, float]


def line_chart(
    series: Mapping[str, Sequence[Point]],
    *,
    bands: Mapping[str, Sequence[Band]] | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    size: tuple[int, int] = (800, 500),
) -> Image.Image:
    """Draw one line a series, each in its colour, with a legend if there are several.

    Args:
        series: name → points (x, y) in the order they are joined. A y that is not finite leaves
            a gap. A name may be of one point, shown as a dot.
        bands: name → (x, low, high), shaded behind the line of that name.
        log_x: a logarithmic x axis; every x must be positive.
        size: width and height, pixels.

    Raises:
        InputError: no finite point, a band without a series, an x that the axis cannot show, or a
            size out of range.
    """
    bands = bands or {}
    _check(series, bands, log_x, size)
    finite = [(x, y) for points in series.values() for x, y in points if math.isfinite(y)]
    edges = [y for rows in bands.values() for _, *ends in rows for y in ends if math.isfinite(y)]
    xs = sorted({x for x, _ in finite} | {x for rows in bands.values() for x, *_ in rows})
    y_axis = _linear([y for _, y in finite] + edges, max(2, size[1] // 70))
    x_axis = _logarithmic(xs) if log_x else _linear(xs, max(2, size[0] // 110), tight=True)
    heading = _Heading(title, list(series) if len(series) > 1 else [], size[0])
    font = ImageFont.load_default(FONT)
    widest = max(font.getlength(text) for text in y_axis.labels)
    left = round(widest) + 14 + (22 if y_label else 0)
    ends = font.getlength(x_axis.labels[-1]) / 2
    box = (left, heading.height, round(size[0] - 10 - ends), size[1] - (50 if x_label else 30))
    if box[2] - box[0] < 40 or box[3] - box[1] < 40:
        raise InputError(f"the chart of {len(series)} series does not fit into {size[0]}x{size[1]}")
    picture = _plot(series, bands, x_axis, y_axis, box, size)
    draw = ImageDraw.Draw(picture)
    heading.draw(draw)
    _tick_labels(draw, x_axis, y_axis, box, font)
    if x_label:
        draw.text(((box[0] + box[2]) / 2, size[1] - 6), x_label, INK, font, anchor="ms")
    if y_label:
        _upwards(picture, y_label, (box[1] + box[3]) // 2, font)
    return picture


def colour_of(number: int) -> str:
    """Return the colour of series `number`, from 0, as ``#rrggbb``."""
    return COLOURS[number % len(COLOURS)]


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers that enclose `low` to `high`.

    Example:
        >>> ticks(0.13, 0.87, 5)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = high - low
    if span <= max(abs(low), abs(high)) * 1e-9:  # one value: some room around it
        half = abs(high) / 2 or 0.5
        low, high, span = low - half, high + half, 2 * half
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(n * step, digits) + 0.0 for n in range(first, last + 1)]


@dataclass(frozen=True)
class _Axis:
    """Ends of an axis and its ticks; `log` where it is logarithmic."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def _linear(values: Sequence[float], count: int, tight: bool = False) -> _Axis:
    """Return an axis around `values`; a `tight` one ends with them and has its ticks inside."""
    marks = ticks(min(values), max(values), count)
    low, high = marks[0], marks[-1]
    if tight and min(values) < max(values):
        low, high = min(values), max(values)
        slack = (high - low) * 1e-9
        marks = [m for m in marks if low - slack <= m <= high + slack] or [low, high]
    step = min((b - a for a, b in pairwise(marks)), default=1)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    large = max(map(abs, marks)) >= 1e6
    labels = [f"{m:g}" if large or digits > 6 else f"{m:.{digits}f}" for m in marks]
    return _Axis(low, high, tuple(marks), tuple(labels))


def _logarithmic(xs: Sequence[float]) -> _Axis:
    """Return an axis with ticks at each of a few values, else at 1, 2 and 5 times powers of 10."""
    low, high = xs[0], xs[-1]
    if low == high:
        low, high = low / 2, high * 2
    marks = list(xs)
    if len(xs) > 9:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        factors = (1, 2, 5) if len(powers) <= 5 else (1,)
        marks = [f * 10.0**p for p in powers for f in factors]
        marks = [m for m in marks if low * (1 - 1e-9) <= m <= high * (1 + 1e-9)] or [low, high]
    return _Axis(low, high, tuple(marks), tuple(f"{m:g}" for m in marks), log=True)


class _Heading:
    """The title and the legend above the plot, which wraps where it must."""

    def __init__(self, title: str, names: Sequence[str], width: int):
        self.title, self.names = title, names
        self.font = ImageFont.load_default(FONT)
        self.width = width
        self.places: list[Point] = []
        x, y = 12.0, 40.0 if title else 12.0
        for name in names:
            room = self.font.getlength(self._short(name)) + 48
            if x > 12 and x + room > width - 8:
                x, y = 12.0, y + 22
            self.places.append((x, y))
            x += room
        self.height = round((y + 32) if names else (46 if title else 16))

    def _short(self, text: str, font=None) -> str:
        font = font or self.font
        while len(text) > 2 and font.getlength(text) > self.width - 64:
            text = text[:-2] + "…"
        return text

    def draw(self, draw: ImageDraw.ImageDraw) -> None:
        """Write both onto the picture."""
        if self.title:
            font = ImageFont.load_default(TITLE)
            draw.text((12, 10), self._short(self.title, font), INK, font)
        for number, ((x, y), name) in enumerate(zip(self.places, self.names, strict=True)):
            if number < len(COLOURS):
                draw.line((x, y + 9, x + 22, y + 9), colour_of(number), 3)
            else:
                for start in (0, 9, 18):
                    draw.line((x + start, y + 9, x + start + 4, y + 9), colour_of(number), 3)
            draw.text((x + 28, y), self._short(name), INK, self.font)


def _plot(series, bands, x_axis: _Axis, y_axis: _Axis, box, size) -> Image.Image:
    """Draw grid, bands and lines at `SMOOTH` times the size, and reduce them."""
    large = Image.new("RGB", (size[0] * SMOOTH, size[1] * SMOOTH), "white")
    draw = ImageDraw.Draw(large)
    left, top, right, bottom = (v * SMOOTH for v in box)

    def at(x: float, y: float) -> Point:
        return (
            left + x_axis.place(x) * (right - left),
            bottom - y_axis.place(y) * (bottom - top),
        )

    for y in y_axis.ticks:
        draw.line((at(x_axis.low, y), at(x_axis.high, y)), GRID, SMOOTH)
    for x in x_axis.ticks:
        draw.line((at(x, y_axis.low), at(x, y_axis.high)), GRID, SMOOTH)
    draw.line((left, top, left, bottom, right, bottom), GREY, SMOOTH)
    numbers = {name: number for number, name in enumerate(series)}
    for name, rows in bands.items():
        _shade(large, [r for r in rows if all(map(math.isfinite, r))], at, numbers[name])
    for name, points in series.items():
        _line(draw, [at(*p) if math.isfinite(p[1]) else None for p in points], numbers[name])
    return large.reduce(SMOOTH)


def _shade(image: Image.Image, rows: Sequence[Band], at, number: int) -> None:
    """Tint the area between the ends of `rows`."""
    if len(rows) < 2:
        return
    mask = Image.new("L", image.size)
    outline = [at(x, low) for x, low, _ in rows] + [at(x, high) for x, _, high in reversed(rows)]
    ImageDraw.Draw(mask).polygon(outline, fill=48)
    image.paste(colour_of(number), mask=mask)


def _line(draw: ImageDraw.ImageDraw, places: Sequence[Point | None], number: int) -> None:
    """Draw one series; None is a gap in it."""
    colour, width = colour_of(number), 2 * SMOOTH
    for part in _runs(places):
        for piece in [part] if number < len(COLOURS) else _dashes(part, 6 * SMOOTH):
            draw.line(piece, colour, width, joint="curve")
        radius = 4 * SMOOTH if len(places) <= DOTS else width / 2
        for x, y in part if len(places) <= DOTS or len(part) == 1 else ():
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _runs(places: Iterable[Point | None]) -> list[list[Point]]:
    """Split a list at its gaps."""
    runs: list[list[Point]] = [[]]
    for place in places:
        if place is None:
            runs.append([])
        else:
            runs[-1].append(place)
    return [run for run in runs if run]


def _dashes(points: Sequence[Point], length: float) -> list[list[Point]]:
    """Cut a line into every second stretch of `length` pixels."""
    pieces, current, done, on = [], [points[0]], 0.0, True
    for a, b in pairwise(points):
        whole, along = math.dist(a, b), 0.0
        while whole - along > length - done:
            along += length - done
            cut = (a[0] + (b[0] - a[0]) * along / whole, a[1] + (b[1] - a[1]) * along / whole)
            pieces += [[*current, cut]] if on else []
            current, done, on = [cut], 0.0, not on
        done += whole - along
        current.append(b)
    return pieces + ([current] if on and len(current) > 1 else [])


def _tick_labels(draw: ImageDraw.ImageDraw, x_axis: _Axis, y_axis: _Axis, box, font) -> None:
    left, top, right, bottom = box
    for value, text in zip(y_axis.ticks, y_axis.labels, strict=True):
        y = bottom - y_axis.place(value) * (bottom - top)
        draw.text((left - 6, y), text, GREY, font, anchor="rm")
    free = -math.inf  # labels that would touch the one before are left out
    for value, text in zip(x_axis.ticks, x_axis.labels, strict=True):
        x = left + x_axis.place(value) * (right - left)
        half = font.getlength(text) / 2
        if x - half > free + 6:
            draw.text((x, bottom + 6), text, GREY, font, anchor="ma")
            free = x + half


def _upwards(picture: Image.Image, text: str, middle: int, font) -> None:
    """Write `text` along the left edge, from bottom to top."""
    width, height = round(font.getlength(text)) + 2, FONT + 6
    strip = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(strip).text((1, 0), text, INK, font)
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    picture.paste(turned, (4, max(0, middle - width // 2)))


def _check(series, bands, log_x: bool, size) -> None:
    if not all(MIN_SIZE <= side <= MAX_SIZE for side in size):
        raise InputError(f"size must be {MIN_SIZE} to {MAX_SIZE} pixels but is {tuple(size)}")
    if lost := [name for name in bands if name not in series]:
        raise InputError(unknown("series of a band", lost[0], series))
    rows = [(x, *rest) for part in (series, bands) for rs in part.values() for x, *rest in rs]
    xs = [x for x, *_ in rows]
    if bad := [x for x in xs if not math.isfinite(x) or (log_x and x <= 0)]:
        kind = "positive and finite on a logarithmic axis" if log_x else "finite"
        raise InputError(f"every x must be {kind} but one is {bad[0]}")
    if not any(math.isfinite(y) for points in series.values() for _, y in points):
        raise InputError("a chart needs at least one finite point")
