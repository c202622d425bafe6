"""Figures → a table on the terminal and a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from guidance.files import write

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
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        [line[0].ljust(widths[0]), *(t.rjust(w) for t, w in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    )
    return "\n".join("  ".join(line).rstrip() for line in padded)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as JSON, floats to four places."""

    def rounded(x: Any) -> Any:
        if isinstance(x, dict):
            return {k: rounded(v) for k, v in x.items()}
        return round(x, 4) if isinstance(x, float) else x

    write(path, json.dumps(rounded(content), indent=2) + "\n")
