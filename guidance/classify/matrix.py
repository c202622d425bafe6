"""Confusion matrices → one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from guidance.artefacts.plot import DPI, INK, TITLE, measured, new_figure, short, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID = "#dddddd"
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)  # blue and vermilion differ without colour vision
SIDE = 2400  # pixels that a matrix takes at most
CELL, LEAST = 46, 4  # pixels: of a cell of few classes, of very many
NAMED = 11  # pixels of a cell beside which a name can be read
COUNTED = 24  # pixels of a cell into which a number fits
MARGIN, HEADING = 18, 34  # pixels
LONGEST = 260  # pixels of a name


def draw(panels: Sequence[tuple[str, Tensor]], names: Sequence[str]) -> Figure:
    """Draw matrices side by side, of more than four in two rows.

    A row is what an image is, a column what it was taken for. The colour says which share of its
    row a cell holds: blue on the diagonal, where it is right, and vermilion elsewhere.

    Args:
        panels: title and counts ``[C, C]`` of each.
        names: of the C classes.
    """
    cell = max(LEAST, min(CELL, SIDE // len(names)))
    size = min(15, max(9, cell * 0.6)) * 72 / DPI  # of names and numbers, points
    side = cell * len(names)
    columns = len(panels) if len(panels) <= 4 else -(-len(panels) // 2)
    rows = -(-len(panels) // columns)
    with style():
        texts = [short(name, LONGEST, size) for name in names] if cell >= NAMED else []
        room = max((round(measured(text, size)) for text in texts), default=0) + 8
        titles = max(round(measured(title, TITLE)) for title, _ in panels)
        left, top = MARGIN + room, MARGIN + HEADING + room  # of the cells within a panel
        wide, high = max(left + side, MARGIN + titles) + MARGIN, top + side + MARGIN
        figure = new_figure((columns * wide, rows * high), layout=None)
        for place, (title, counts) in enumerate(panels):
            x, y = place % columns * wide, place // columns * high
            corner = ((x + left) / (columns * wide), 1 - (y + top + side) / (rows * high))
            axes = figure.add_axes((*corner, side / (columns * wide), side / (rows * high)))
            at = ((x + MARGIN) / (columns * wide), 1 - (y + MARGIN) / (rows * high))
            figure.text(*at, title, fontsize=TITLE, verticalalignment="top")
            _cells(axes, counts, size if cell >= COUNTED else None)
            _label(axes, texts, size)
    return figure


def _label(axes: Axes, texts: Sequence[str], size: float) -> None:
    """Write the names at the left and above, and part the cells; nothing where they are small."""
    axes.tick_params(length=0, labelcolor=INK, labelsize=size, pad=4)
    axes.tick_params(which="minor", length=0)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(texts)), texts, rotation=90)
    axes.set_yticks(range(len(texts)), texts)
    if texts:
        between = [place - 0.5 for place in range(1, len(texts))]
        axes.set_xticks(between, minor=True)
        axes.set_yticks(between, minor=True)
        axes.grid(which="minor", color=GRID, linewidth=0.7)
    for spine in axes.spines.values():
        spine.set(visible=True, color=INK)


def _cells(axes: Axes, counts: Tensor, size: float | None) -> None:
    """Tint the cells, and write the counts into them in letters of `size` points."""
    shares = counts.double() / counts.sum(1, keepdim=True).clamp_min(1)
    deep = torch.tensor(WRONG).repeat(len(counts), len(counts), 1)
    deep.diagonal()[:] = torch.tensor(RIGHT)[:, None]
    colours = (255 + shares[..., None] * (deep - 255)).round().to(torch.uint8)
    axes.imshow(colours.numpy(), interpolation="nearest", aspect="auto")
    for y, x in counts.nonzero().tolist() if size else ():
        axes.text(
            x,
            y,
            str(int(counts[y, x])),
            color="white" if shares[y, x] > 0.55 else INK,
            fontsize=size,
            horizontalalignment="center",
            verticalalignment="center_baseline",
        )
