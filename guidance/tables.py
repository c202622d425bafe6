"""Figures → an aligned table for the terminal."""

from __future__ import annotations

import unicodedata
from typing import Any

Figures = dict[str, dict[str, Any]]  # row → column → value


def table(title: str, figures: Figures) -> str:
    """Return an aligned table, one line for each row.

    Example:
        >>> print(table("zero-shot", {"name": {"top-1": 61.25, "ECE": 4.0}}))
        zero-shot  top-1   ECE
        name       61.25  4.00
    """
    columns = list(dict.fromkeys(c for row in figures.values() for c in row))
    lines = [[title, *columns]]
    for name, row in figures.items():
        lines.append([name, *(_text(row.get(c)) for c in columns)])
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    sides = [widths[0], *(-w for w in widths[1:])]
    padded = ([_pad(t, w) for t, w in zip(row, sides, strict=True)] for row in lines)
    return "\n".join("  ".join(row).rstrip() for row in padded)


def width(text: str) -> int:
    """Return the columns that `text` takes in a terminal: two for wide characters."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _pad(text: str, columns: int) -> str:
    """Fill `text` up to `columns`, on the left if negative."""
    space = " " * (abs(columns) - width(text))
    return space + text if columns < 0 else text + space


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
