"""Where the results of a scoring command go, checked before any work; what was skipped."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from guidance.embeddings.results import Skipped
from guidance.errors import InputError, counted
from guidance.files.writing import check_place, printable
from guidance.images.collect import passed_over

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
SUFFIXES = {
    "csv": (".csv",),
    "json": (".json",),
    "sheet": PICTURES,
    "gallery": (".html", ".htm"),
    "gain": (".png", ".svg", ".csv"),
}


def check_outputs(
    outputs: Mapping[str, str | None], inputs: Sequence[Path] = (), plots: Container[str] = ()
) -> None:
    """Check the files that will be written; None is passed over.

    Args:
        outputs: option (a key of `SUFFIXES`) → file.
        inputs: files that must not be overwritten.
        plots: the options whose pictures are plots, which may be ``.svg`` too.

    Raises:
        InputError: an unknown suffix, two outputs in one place, or one that would replace an input.
        FileError: a folder is missing or cannot be written.
    """
    taken = {os.path.realpath(path): f"would overwrite the image {path}" for path in inputs}
    for name, value in outputs.items():
        if value is None:
            continue
        path, option = Path(value), f"--{name}"
        suffixes = SUFFIXES[name]
        check_place(path, option, (*suffixes, ".svg") if name in plots else suffixes)
        real = os.path.realpath(path)
        if real in taken:
            raise InputError(f"{option} {taken[real]}")
        taken[real] = f"must not be a file that is written already: {path}"


def say_written(paths: Sequence[str | None], *, quiet: bool) -> None:
    """Note on stderr which of `paths` were written; None is passed over."""
    given = [str(path) for path in paths if path is not None]
    if given and not quiet:
        print(printable(f"wrote {', '.join(given)}"), file=sys.stderr)


def say_skipped(
    skipped: Sequence[Skipped],
    total: int,
    passed: Counter[str] | None = None,
    *,
    quiet: bool,
) -> None:
    """List on stderr which of `total` files could not be used, and why; count those passed over.

    Args:
        passed: what `collect` told.
    """
    if quiet:
        return
    if passed:
        print(printable(passed_over(passed)), file=sys.stderr)
    if skipped:
        print(f"skipped {len(skipped):,} of {counted(total, 'file')}:", file=sys.stderr)
        for s in skipped:
            print(f"  {printable(s.source)} {printable(s.reason)}", file=sys.stderr)
