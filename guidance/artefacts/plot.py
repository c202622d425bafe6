"""Numbers → charts, drawn by matplotlib without a screen; readable without colour vision.

The colours are those of Okabe and Ito ("Color Universal Design", 2008); from the ninth series on
they return as dashed lines. The same numbers give the same bytes, whatever style matplotlib is set
to. In SVG, text stays text, so that viewers draw what our fonts lack.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import threading
import warnings
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from guidance.artefacts.picture import save_picture
from guidance.errors import InputError, unknown
from guidance.files.writing import printable, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f3c8d", "#000000")
INK, GREY, GRID = "#222222", "#666666", "#e4e4e4"
DPI = 100
DOTS = 40  # series of no more points show each as a dot
MIN_SIZE, MAX_SIZE = 160, 8000  # pixels a side
FONT, TITLE = 10.5, 13  # points
ROOM = 40  # pixels a side that what is drawn must be left
# where matplotlib's own font has no letter, the first of these that is installed may have it
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "PingFang SC",
         "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Noto Sans", "Arial Unicode MS",
         "Segoe UI Emoji")  # fmt: skip
STYLE = {
    "text.parse_math": False,  # a $ in a prompt is a $
    "font.size": FONT,
    "axes.titlesize": TITLE,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "svg.fonttype": "none",
    "svg.hashsalt": "guidance",  # names within a file are the same each time
    "legend.frameon": False,
}
_STYLED = threading.Lock()  # matplotlib's settings belong to the whole process

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
) -> Figure:
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
    with style():
        figure = new_figure(size)
        axes = figure.add_subplot()
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
        axes.margins(x=0.02)
        lines = [_line(axes, n, points) for n, points in enumerate(series.values())]
        for name, rows in bands.items():
            number = list(series).index(name)
            xs, low, high = zip(*rows, strict=True) if rows else ((), (), ())
            axes.fill_between(xs, _gaps(low), _gaps(high), color=colour_of(number), alpha=0.2, lw=0)
        if log_x:
            _logarithmic(axes, sorted({x for points in series.values() for x, _ in points}))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _heading(figure, title, dict(zip(series, lines, strict=True)), size[0])
    return figure


def colour_of(number: int) -> str:
    """Return the colour of series `number`, from 0, as ``#rrggbb``."""
    return COLOURS[number % len(COLOURS)]


@contextlib.contextmanager
def style() -> Generator[None]:
    """Draw in our style, whatever matplotlib is set to; figures are made and saved within it."""
    import logging

    import matplotlib

    # what a folder of caches that cannot be written, or a new one, gives to say
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.font_manager import fontManager

    with _STYLED, matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box
        matplotlib.rcdefaults()
        installed = set(fontManager.get_font_names())
        fonts = [name for name in FONTS if name in installed]
        matplotlib.rcParams.update({**STYLE, "font.sans-serif": fonts})
        yield


def new_figure(
    size: tuple[int, int], layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Return an empty figure of `size` pixels; with a layout its parts find their places."""
    from matplotlib.figure import Figure

    return Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, layout=layout)


def to_image(figure: Figure) -> Image.Image:
    """Return a figure as pixels.

    Raises:
        InputError: there is no room for its parts.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with _drawing(figure):
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure as ``.svg``, or as pixels in the format that another suffix names.

    Raises:
        InputError: there is no room for its parts.
        FileError: the file cannot be written.
    """
    if Path(path).suffix.lower() == ".svg":
        data = io.BytesIO()
        with _drawing(figure):
            figure.savefig(data, format="svg", metadata={"Date": None})
        write(path, data.getvalue())
        return
    save_picture(path, to_image(figure))


@contextlib.contextmanager
def _drawing(figure: Figure) -> Generator[None]:
    """Draw a figure in our style, and look whether something of it is left."""
    with style():
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # told here
        yield
        boxes = [axes.get_window_extent() for axes in figure.axes]
    if any(min(box.width, box.height) < ROOM for box in boxes):
        width, height = (round(side * DPI) for side in figure.get_size_inches())
        raise InputError(f"the chart does not fit into {width}x{height}")


def _line(axes: Axes, number: int, points: Sequence[Point]) -> Line2D:
    """Draw one series; points without neighbours show as dots, and all of a few."""
    ys = _gaps([y for _, y in points])
    alone = [
        n
        for n, y in enumerate(ys)
        if not math.isnan(y)
        and all(math.isnan(side) for side in [*ys[n - 1 : n], *ys[n + 1 : n + 2]])
    ]
    few = len(points) <= DOTS
    (line,) = axes.plot(
        [x for x, _ in points],
        ys,
        color=colour_of(number),
        linestyle="-" if number < len(COLOURS) else "--",
        linewidth=2,
        marker="o",
        markersize=6,
        markevery=None if few else alone,
    )
    return line


def _gaps(values: Sequence[float]) -> list[float]:
    return [v if math.isfinite(v) else math.nan for v in values]


def _heading(figure: Figure, title: str, lines: Mapping[str, Line2D], width: int) -> None:
    """Write the title and, of several lines, the legend in columns above the plot."""
    title = short(title, width - 24, TITLE)
    if len(lines) < 2:
        figure.suptitle(title, x=12 / width, horizontalalignment="left", fontsize=TITLE)
        return
    names = [short(name, width - 64, FONT) for name in lines]
    room = max(measured(name, FONT) for name in names) + 60
    figure.legend(
        lines.values(),
        names,
        loc="outside upper left",
        ncols=max(1, int(width // room)),
        title=title,
        title_fontsize=TITLE,
        alignment="left",
    )


def _logarithmic(axes: Axes, xs: Sequence[float]) -> None:
    """Scale the x axis, with ticks at each of a few values unless they would touch."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    whole = math.log(xs[-1] / xs[0])
    if len(xs) <= 9:
        marks = [xs[0]]
        for x in xs[1:]:
            marks += [x] if math.log(x / marks[-1]) >= 0.06 * whole else []
        axes.set_xticks(marks)
    elif whole < math.log(1e5):
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def short(text: str, width: float, size: float) -> str:
    """Return `text` on one line of at most `width` pixels; what is cut off shows as “…”.

    Args:
        size: of the letters, points.
    """
    text = printable(text)
    if measured(text, size) <= width:
        return text
    text = text[:MAX_SIZE]
    while text and measured(text + "…", size) > width:
        text = text[: min(len(text) - 1, int(1.1 * len(text) * width / measured(text, size)))]
    return text + "…"


def measured(text: str, size: float) -> float:
    """Return the width of `text` in letters of `size` points, in pixels."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    wide, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)
    return wide * DPI / 72


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
