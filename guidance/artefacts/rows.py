"""The rows of a run, one a step, and ``steps.csv``, which holds them and may come back damaged.

People open the file in a spreadsheet and save it: with a byte order mark, other line ends,
semicolons and decimal commas. What can be read of it is taken up; a run never fails for the rest.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from guidance.files.writing import is_regular, write
from guidance.step.loop import Step

Row = dict[str, float | int]
FIRST = ("step", "loss", "score")
_TERM = re.compile(r"loss_[\w .:+-]{1,100}")


class StepRows:
    """The rows so far.

    Args:
        path: of ``steps.csv``.
    """

    def __init__(self, path: Path):
        self._path = path
        self._rows: list[Row] = []

    @property
    def last(self) -> Row | None:
        """The newest row, if any."""
        return self._rows[-1] if self._rows else None

    def add(self, step: Step) -> None:
        """Remember a step."""
        row: Row = {"step": step.index, "loss": step.loss, "score": step.score}
        self._rows.append(row | {f"loss_{k}": v for k, v in step.terms.items()})

    def save(self) -> None:
        """Write the file."""
        names = list(dict.fromkeys(name for row in self._rows for name in row)) or ["step"]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write(self._path, text.getvalue())

    def load(self, done: int) -> None:
        """Take up an earlier process' rows up to step `done`; warn of those that are gone."""
        found: dict[int, Row] = {}
        if is_regular(self._path):
            try:
                with self._path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
                    for row in _read(file):
                        if 0 <= row["step"] < done:
                            found.setdefault(int(row["step"]), row)
            except (OSError, csv.Error, UnicodeError):
                pass  # what was read so far is kept
        self._rows = [found[step] for step in sorted(found)]
        if len(found) < done:
            warnings.warn(
                f"{self._path} is damaged: of {done} steps {done - len(found)} are lost from it; "
                "the run itself goes on as it was",
                stacklevel=2,
            )


def _read(lines: Iterator[str]) -> Iterator[Row]:
    """Yield the rows that can be read."""
    lines = (line for line in lines if line.endswith(("\n", "\r")))  # the last may be cut off
    header = next(lines, "")
    mark = next((m for m in (";", "\t") if m in header), ",")
    names = next(csv.reader([header], delimiter=mark), [])
    for values in csv.reader(lines, delimiter=mark):
        cells = {k.strip(): v for k, v in zip(names, values, strict=False) if v.strip()}
        try:
            numbers = {k: _number(cells[k], mark) for k in _columns(cells)}
            yield numbers | {"step": _whole(numbers["step"])}
        except (KeyError, ValueError, OverflowError):
            continue


def _columns(cells: dict[str, str]) -> list[str]:
    """Return the names of our columns in our order."""
    return [k for k in FIRST if k in cells] + [k for k in cells if _TERM.fullmatch(k)]


def _number(text: str, mark: str) -> float:
    """Read a number, with a decimal comma where that does not separate cells."""
    return float(text if mark == "," else text.replace(",", "."))


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"{value} is no step")
    return int(value)
