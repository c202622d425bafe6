"""Probabilities → text, and the rows, facts and labels of the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from guidance.classify.records import Classified
from guidance.files.writing import printable


def block(result: Classified, labels: Sequence[str], top: int) -> str:
    """Return the file's name and below it its `top` best labels (0: all), in per cent."""
    best = result.best(top or None)
    lines = [f"{100 * result.probabilities[i]:>8.2f} %  {printable(labels[i])}" for i in best]
    return "\n".join([printable(result.source), *lines])


def rows(results: Iterable[Classified], labels: Sequence[str]) -> Iterator[list[object]]:
    """Give a line for each image: file, best label, then the probability of every label."""
    yield ["file", "best", *labels]
    for result in results:
        best = labels[result.best(1)[0]]
        yield [result.source, best, *(f"{p:.6f}" for p in result.probabilities)]


def content(facts: Mapping[str, Any], results: Iterable[Classified]) -> dict[str, Any]:
    """Return `facts` and all labels of each image, the best first."""
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
    return {**facts, "images": images}


def entries(results: Iterable[Classified], labels: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Give each image with its best label and that label's probability, for a contact sheet."""
    for result in results:
        best = result.best(1)[0]
        yield result.source, f"{100 * result.probabilities[best]:.0f} %  {labels[best]}"
