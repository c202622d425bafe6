"""What a command that scores images leaves: its files, and what it says at the end."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from guidance.artefacts.picture import save_picture
from guidance.artefacts.plot import save as save_plot
from guidance.artefacts.sheet import write_sheet
from guidance.command.scoring import ScoringOptions
from guidance.embeddings.results import Skipped
from guidance.errors import InputError, counted
from guidance.files.facts import write_json
from guidance.files.tables import write_csv
from guidance.files.writing import check_place, printable
from guidance.images.collect import passed_over

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
SUFFIXES = {
    "csv": (".csv",),
    "json": (".json",),
    "sheet": PICTURES,
    "plot": (*PICTURES, ".svg"),
    "gallery": (".html", ".htm"),
    "gain": (".png", ".svg", ".csv"),
    "save": (".safetensors",),
}


class Report:
    """The outputs that a command was asked for: checked at once, written when there are results.

    Every method passes over an output whose option is None; nothing is computed for it.

    Args:
        options: name a file for each output, or None.
        names: of these options, keys of `SUFFIXES`.
        inputs: files that must not be overwritten.
        drawn: those of `names` whose pictures are drawings, which may be ``.svg`` too.

    Raises:
        InputError: an unknown suffix, two outputs in one place, or one that would replace an input.
        FileError: a folder is missing or cannot be written.
    """

    def __init__(
        self,
        options: ScoringOptions,
        names: Sequence[str],
        inputs: Sequence[Path] = (),
        drawn: Container[str] = (),
    ) -> None:
        self._options = options
        self._written: list[str] = []
        check_outputs({name: getattr(options, name) for name in names}, inputs, drawn)

    def file(self, name: str, write: Callable[[str], str | None]) -> None:
        """Let `write` make the file of an option; what it returns is told beside its name."""
        place = getattr(self._options, name)
        if place is not None:
            self._written.append(place + (write(place) or ""))

    def csv(self, rows: Iterable[Sequence[object]]) -> None:
        """Write a table; `rows` begin with the titles."""
        self.file("csv", lambda place: write_csv(place, rows))

    def json(
        self,
        facts: Callable[[], Mapping[str, Any]],
        skipped: Sequence[Skipped] | None = None,
        *,
        ascii: bool = True,
    ) -> None:
        """Write facts and, unless None, the files that were skipped; see `write_json`."""

        def write(place: str) -> None:
            missed = [{"file": str(s.source), "reason": s.reason} for s in skipped or ()]
            rest = {} if skipped is None else {"skipped": missed}
            write_json(place, {**facts(), **rest}, ascii=ascii)

        self.file("json", write)

    def sheet(self, entries: Iterable[tuple[Path, str]], total: int | None = None) -> None:
        """Write a contact sheet of files with their labels; with a `total`, say how many fit."""

        def write(place: str) -> str | None:
            return first_of(write_sheet(place, entries), total)

        self.file("sheet", write)

    def picture(self, name: str, draw: Callable[[], Image.Image]) -> None:
        """Write a picture."""
        self.file(name, lambda place: save_picture(place, draw()))

    def plot(self, name: str, draw: Callable[[], Figure]) -> None:
        """Write a plot, as pixels or as SVG."""
        self.file(name, lambda place: save_plot(draw(), place))

    def end(
        self, skipped: Sequence[Skipped], total: int, passed: Counter[str] | None = None
    ) -> int:
        """Say on stderr what was written, passed over and skipped; return the exit code.

        Args:
            skipped: which of `total` files could not be used, and why.
            passed: what `collect` told of other files.

        Returns:
            0, or 1 if a file was skipped and the options are strict.
        """
        if not self._options.quiet:
            if self._written:
                print(printable(f"wrote {', '.join(self._written)}"), file=sys.stderr)
            say_passed(passed)
            say_skipped(skipped, total)
        return int(getattr(self._options, "strict", False) and bool(skipped))


def check_outputs(
    outputs: Mapping[str, str | None], inputs: Sequence[Path] = (), drawn: Container[str] = ()
) -> None:
    """Check the files that will be written; see `Report`.

    Args:
        outputs: option (a key of `SUFFIXES`) → file, or None.
        inputs: files that must not be overwritten.
        drawn: the options whose pictures are drawings, which may be ``.svg`` too.
    """
    taken = {os.path.realpath(path): f"would overwrite the image {path}" for path in inputs}
    for name, value in outputs.items():
        if value is None:
            continue
        path, option = Path(value), f"--{name}"
        suffixes = SUFFIXES[name]
        check_place(path, option, (*suffixes, ".svg") if name in drawn else suffixes)
        real = os.path.realpath(path)
        if real in taken:
            raise InputError(f"{option} {taken[real]}")
        taken[real] = f"must not be a file that is written already: {path}"


def first_of(shown: int, total: int | None) -> str | None:
    """Return the note that an output shows `shown` images of `total`; None if it shows all."""
    return None if total is None or shown >= total else f" (the first {shown})"


def say_passed(passed: Counter[str] | None) -> None:
    """Say on stderr how many files of which kinds were passed over in folders, if any."""
    if passed:
        print(printable(passed_over(passed)), file=sys.stderr)


def say_skipped(skipped: Sequence[Skipped], total: int) -> None:
    """List on stderr which of `total` files could not be used, and why."""
    if skipped:
        print(f"skipped {len(skipped):,} of {counted(total, 'file')}:", file=sys.stderr)
        for s in skipped:
            print(f"  {printable(s.source)} {printable(s.reason)}", file=sys.stderr)
