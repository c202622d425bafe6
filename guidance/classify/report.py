"""Probabilities → text, CSV, JSON and a contact sheet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from guidance.artefacts import sheet
from guidance.embeddings.results import Skipped
from guidance.files import tables
from guidance.files.writing import printable, write

if TYPE_CHECKING:
    from guidance.classify.technique import Classified


def block(result: Classified, labels: Sequence[str], top: int) -> str:
    """Return the file's name and below it its `top` best labels (0: all), in per cent."""
    best = result.best(top or None)
    lines = [f"{100 * result.probabilities[i]:>8.2f} %  {printable(labels[i])}" for i in best]
    return "\n".join([printable(result.source), *lines])


def write_csv(
    path: str | os.PathLike, results: Iterable[Classified], labels: Sequence[str]
) -> None:
    """Write a line for each image: file, best label, then the probability of every label."""
    rows: list[list[object]] = [["file", "best", *labels]]
    for result in results:
        best = labels[result.best(1)[0]]
        rows.append([result.source, best, *(f"{p:.6f}" for p in result.probabilities)])
    tables.write_csv(path, rows)


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
    """Draw the first images with their best label and its probability.

    Raises:
        FileError: none of them can be read any more, or the sheet cannot be written.
    """

    def label(result: Classified) -> str:
        best = result.best(1)[0]
        return f"{100 * result.probabilities[best]:.0f} %  {labels[best]}"

    sheet.write_sheet(path, ((r.source, label(r)) for r in results))
