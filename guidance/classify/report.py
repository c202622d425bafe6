"""Probabilities → text, CSV, JSON and a contact sheet."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from guidance.artifacts import contact_sheet
from guidance.embeddings.local import Skipped
from guidance.errors import FileError
from guidance.files import atomic, printable, write
from guidance.images import load_image

if TYPE_CHECKING:
    from guidance.classify.technique import Classified

SHEET_IMAGES = 400  # more cannot be told apart on one sheet
SHEET_SIDE = 8000  # pixels


def block(result: Classified, labels: Sequence[str], top: int) -> str:
    """Return the file's name and below it its `top` best labels (0: all), in per cent."""
    best = result.best(top or None)
    lines = [f"{100 * result.probabilities[i]:>8.2f} %  {printable(labels[i])}" for i in best]
    return "\n".join([printable(result.source), *lines])


def write_csv(
    path: str | os.PathLike, results: Iterable[Classified], labels: Sequence[str]
) -> None:
    """Write a line for each image: file, best label, then the probability of every label."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "best", *labels])
    for result in results:
        best = labels[result.best(1)[0]]
        rows.writerow([result.source, best, *(f"{p:.6f}" for p in result.probabilities)])
    write(path, text.getvalue().encode("utf-8", "surrogateescape"))


def write_json(
    path: str | os.PathLike,
    facts: Mapping[str, Any],
    results: Iterable[Classified],
    skipped: Sequence[Skipped],
) -> None:
    """Write `facts`, all labels of each image, the best first, and what was skipped."""
    labels, images = facts["labels"], []
    for result in results:
        found = [
            {
                "label": labels[i],
                "probability": round(result.probabilities[i], 6),
                "cosine": round(result.cosines[i], 6),
            }
            for i in result.best()
        ]
        images.append({"file": str(result.source), "labels": found})
    missed = [{"file": str(s.source), "reason": s.reason} for s in skipped]
    content = {**facts, "images": images, "skipped": missed}
    write(path, json.dumps(content, indent=2) + "\n")


def write_sheet(
    path: str | os.PathLike, results: Iterable[Classified], labels: Sequence[str]
) -> None:
    """Draw the first 400 images with their best label and its probability.

    Raises:
        FileError: none of them can be read any more, or the sheet cannot be written.
    """
    chosen = list(itertools.islice(results, SHEET_IMAGES))
    columns = max(1, round(len(chosen) ** 0.5 + 0.4))
    tile = min(256, SHEET_SIDE // columns - 16)
    images, texts = [], []
    for result in chosen:
        try:
            image = load_image(result.source, min_side=tile)
        except FileError:
            continue  # it was there when it was classified
        image.thumbnail((tile, tile))
        images.append(image)
        best = result.best(1)[0]
        texts.append(f"{100 * result.probabilities[best]:.0f} %  {labels[best]}")
    if not images:
        raise FileError(f"none of the images for {path} can be read any more")
    sheet = contact_sheet(images, texts, tile=tile, columns=columns)
    with atomic(path) as temporary:
        sheet.save(temporary)
