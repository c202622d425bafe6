"""The tables of a sheet: its key, and the answers that a judge fills in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guidance.errors import InputError
from guidance.files.tables import read_csv, write_csv
from guidance.files.writing import is_regular

KEY = ("number", "prompt", "name", "accepted", "seed", "picture")
ANSWERS = ("number", "name", "likeness")
BEST = 10  # likeness; 0 is the least


@dataclass(frozen=True)
class Right:
    """What is right for one number of a sheet.

    Attributes:
        number: on the sheet, from 1.
        prompt: that the picture was made from.
        name: what it should be called.
        accepted: other names that are right.
        seed: of the picture, if it is known.
        picture: its file.
    """

    number: int
    prompt: str
    name: str
    accepted: tuple[str, ...] = ()
    seed: int | None = None
    picture: str = ""


@dataclass(frozen=True)
class Answer:
    """What a judge said of one picture.

    Attributes:
        name: what it was called; empty for nothing.
        likeness: 0 to 10; None if nobody was asked.
    """

    name: str
    likeness: float | None = None


def write_key(path: Path, rows: Sequence[Right]) -> None:
    """Write the key of a sheet."""
    cells = [(r.number, r.prompt, r.name, "|".join(r.accepted), r.seed, r.picture) for r in rows]
    write_csv(path, [KEY, *cells])


def read_key(path: Path) -> dict[int, Right]:
    """Return the key of a sheet by number.

    Raises:
        FileError: it cannot be read.
        InputError: it is no key, or has a number twice.
    """
    rows: dict[int, Right] = {}
    for line, cells in read_csv(path, KEY[:3]):
        where = f"{path}, line {line}"
        number = _number(cells["number"], where)
        name = cells["name"].strip()
        if not name or number in rows:
            fault = "has no name" if not name else "is there twice"
            raise InputError(f"{where}: the number {number} {fault}")
        accepted = tuple(filter(None, map(str.strip, cells.get("accepted", "").split("|"))))
        rows[number] = Right(number, cells["prompt"].strip() or name, name, accepted)
    if not rows:
        raise InputError(f"{path} holds no number")
    return rows


def write_form(path: Path, count: int) -> None:
    """Write the answers to `count` pictures, not filled in."""
    write_csv(path, [ANSWERS, *((number, "", "") for number in range(1, count + 1))])


def check_empty(path: Path) -> None:
    """Raise `InputError` if somebody has filled in the form at `path`, which would be lost."""
    if is_regular(path) and any(c["name"].strip() for _, c in read_csv(path, ANSWERS[:2])):
        raise InputError(f"{path} is filled in: name another folder, or move it away")


def read_answers(path: Path, numbers: Sequence[int]) -> dict[int, Answer]:
    """Return the answers of a judge by number.

    Args:
        path: a form that is filled in.
        numbers: those of the key, each of which must be there.

    Raises:
        FileError: it cannot be read.
        InputError: a number is missing, unknown or there twice, a likeness is none, or some are
            left out.
    """
    found: dict[int, Answer] = {}
    for line, cells in read_csv(path, ANSWERS[:2]):
        where = f"{path}, line {line}"
        number = _number(cells["number"], where)
        if number not in numbers:
            raise InputError(
                f"{where}: the number {number} is unknown; the key has {_span(numbers)}"
            )
        if number in found:
            raise InputError(f"{where}: the number {number} is there twice")
        found[number] = Answer(cells["name"].strip(), _likeness(cells.get("likeness", ""), where))
    lost = [number for number in numbers if number not in found]
    if lost:
        raise InputError(
            f"{path} lacks the number {_listed(lost)}; where no name can be told it stays empty"
        )
    if not any(answer.name for answer in found.values()):
        raise InputError(f"{path} is not filled in: it has no name")
    without = [number for number, answer in found.items() if answer.likeness is None]
    if 0 < len(without) < len(found):
        raise InputError(f"{path} lacks the likeness of {_listed(without)}; give all or none")
    return found


def _number(cell: str, where: str) -> int:
    """Return a number of a sheet, which a spreadsheet may have written as 7.0."""
    value = _float(cell)
    if value is None or value != int(value):
        raise InputError(f"{where}: the number must be that of a picture but is {cell.strip()!r}")
    return int(value)


def _likeness(cell: str, where: str) -> float | None:
    """Return a likeness, None for an empty cell."""
    if not cell.strip():
        return None
    value = _float(cell)
    if value is None or not 0 <= value <= BEST:
        raise InputError(f"{where}: the likeness must be from 0 to {BEST} but is {cell.strip()!r}")
    return value


def _float(cell: str) -> float | None:
    """Return a finite number, with a decimal point or comma; None if it is none."""
    try:
        value = float(cell.strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _span(numbers: Sequence[int]) -> str:
    return f"{min(numbers)} to {max(numbers)}"


def _listed(numbers: Sequence[int]) -> str:
    """Return the first of many numbers."""
    return ", ".join(map(str, sorted(numbers)[:8])) + (", ..." if len(numbers) > 8 else "")
