"""What all kinds of looking begin with: texts and pictures, checked before a model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image

from guidance.clip.scorer import ClipScorer
from guidance.clip.tokens import patch_embeddings
from guidance.command.outputs import Report, say_passed
from guidance.command.pictures import find_pictures
from guidance.errors import InputError, ModelError
from guidance.files.tables import table
from guidance.files.writing import printable
from guidance.images import load_image
from guidance.look.options import LookOptions

TILE = 288  # pixels of the longer side of a picture in a sheet


def prepare(options: LookOptions, *outputs: str) -> tuple[list[Path], Report]:
    """Check texts, pictures and where the results go, the sheet and `outputs`; load nothing.

    Raises:
        InputError: a text or picture is missing, they are too many, or an output is not allowed.
        FileError: a path cannot be used.
    """
    options.check()
    pictures = find_pictures(options, options.inputs)
    if len(pictures) > options.MOST:
        what = "images must be" if options.MOST > 1 else "videos must be"
        raise InputError(f"{what} at most {options.MOST} but are {len(pictures)}")
    report = Report(options, ("sheet", *outputs), pictures.files, options.DRAWN)
    if not options.quiet:
        say_passed(pictures.passed)
    return pictures.files, report


def load(file: Path, scorer: ClipScorer) -> Image.Image:
    """Load a picture no larger than is needed to look at it closely."""
    return load_image(file, min_side=max(TILE, 4 * max(m.image_size for m in scorer.models)))


def best_method(name: str, scorer: ClipScorer) -> str:
    """Return what "auto" stands for with these models."""
    if name != "auto":
        return name
    try:
        with torch.no_grad():
            for model in scorer.models:  # some towers tell only by trying
                patch_embeddings(model, torch.zeros(1, 3, 8, 8))
    except ModelError:
        return "windows"
    return "patches"


def text_table(
    texts: Sequence[str], rows: Iterable[tuple[str, Sequence[float]]], title: str = ""
) -> str:
    """Return a table with a column for each text; `rows` are names and values."""
    figures = {
        printable(name): dict(zip(map(printable, texts), values, strict=True))
        for name, values in rows
    }
    return table(printable(title), figures)


def csv_rows(
    title: str, texts: Sequence[str], rows: Iterable[tuple[object, Sequence[float]]]
) -> Iterable[list[object]]:
    """Give the same for a file, under titles of which `title` is the first."""
    yield [title, *texts]
    for first, values in rows:
        yield [first, *(f"{v:.6f}" for v in values)]
