"""Figures → an aligned table for the terminal; rows → a CSV file that is safe to open."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from guidance.errors import FileError, InputError
from guidance.files.text import decode
from guidance.files.writing import write

Figures = dict[str, dict[str, Any]]  # row → column → value
# What makes a spreadsheet compute a cell (OWASP, "CSV Injection"), also after white space.
_FORMULA = re.compile(r"'*([\t\r]|\s*[=+\-@＝＋－＠])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf|nan", re.IGNORECASE)


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


def write_csv(path: str | os.PathLike, rows: Iterable[Sequence[object]]) -> None:
    """Write `rows` as CSV, UTF-8; a name that is not UTF-8 keeps its bytes.

    A text that a spreadsheet would compute gets an apostrophe in front, which `plain` takes away;
    numbers, also written ones such as "-0.25", stay as they are.
    """
    text = "".join(_line([_harmless(cell) for cell in row]) for row in rows)
    write(path, text.encode("utf-8", "surrogateescape"))


def read_csv(path: str | os.PathLike, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a table that a person may have filled in and saved, with their lines.

    Cells are divided by commas, semicolons or tabs; blank rows are left out.

    Args:
        columns: in small letters, that the heading must have, in any order and with others.

    Raises:
        FileError: it cannot be read, or is no text or table.
        InputError: a column is missing.
    """
    try:
        text = decode(Path(path).read_bytes())
        first, _, rest = text.partition("\n")
        text = rest if re.fullmatch(r"sep=.\r?", first) else text  # Excel's
        readers = [csv.reader(io.StringIO(text, newline=""), delimiter=d) for d in ",;\t"]
        heads = [[cell.strip().lower() for cell in next(reader, [])] for reader in readers]
        best = max(range(len(heads)), key=lambda i: (len({*columns} & {*heads[i]}), len(heads[i])))
        reader, head = readers[best], heads[best]
        rows = [(reader.line_num, [*map(plain, cells)]) for cells in reader]
    except (OSError, InputError, csv.Error) as error:
        said = f"it {error}" if isinstance(error, InputError) else error
        reason = getattr(error, "strerror", None) or said
        raise FileError(f"cannot read the table {path}: {reason}") from error
    if lost := [column for column in columns if column not in head]:
        raise InputError(
            f"{path} lacks the column {', '.join(lost)}; it has {', '.join(head) or 'none'}"
        )
    return [
        (line, dict(zip(head, [*cells, *[""] * len(head)], strict=False)))
        for line, cells in rows
        if any(cell.strip() for cell in cells)
    ]


def plain(cell: str) -> str:
    """Return the text of a cell that `write_csv` wrote.

    Example:
        >>> plain("'=A1"), plain("'tis")
        ('=A1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def _line(row: Sequence[object]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(row)  # so that both are quoted in a cell
    return text.getvalue().removesuffix("\r\n") + "\n"


def _harmless(cell: object) -> object:
    if isinstance(cell, int | float) or cell is None:
        return cell
    text = str(cell)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _pad(text: str, columns: int) -> str:
    """Fill `text` up to `columns`, on the left if negative."""
    space = " " * (abs(columns) - width(text))
    return space + text if columns < 0 else text + space


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
