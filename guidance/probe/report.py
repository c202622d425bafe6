"""Points of the curves, and images with their classes → text, rows, facts and a chart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from guidance.artefacts.plot import line_chart
from guidance.errors import InputError
from guidance.files import tables
from guidance.files.writing import printable
from guidance.probe.curve import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def accuracy_table(points: Sequence[Point]) -> str:
    """Return the accuracies in per cent, a line for each number of shots, a column a method."""
    figures: dict[str, dict[str, Any]] = {}
    for point in points:
        row = "all" if point.shots is None else str(point.shots)
        text = f"{100 * point.mean:.1f}"
        if len(point.runs) > 1:
            text += f" ± {100 * point.deviation:4.1f}"
        figures.setdefault(row, {})[point.method] = text
    return tables.table("shots", figures)


def rows(points: Sequence[Point]) -> Iterator[list[object]]:
    """Give one line for each point; accuracies in [0, 1]."""
    yield ["method", "shots", "images", "accuracy", "deviation", "draws", "lambda"]
    for p in points:
        shots = "all" if p.shots is None else p.shots
        strengths = " ".join(f"{s:.4g}" for s in p.strengths)
        mean, deviation = f"{p.mean:.6f}", f"{p.deviation:.6f}"
        yield [p.method, shots, p.images, mean, deviation, len(p.runs), strengths]


def content(points: Sequence[Point], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `facts` and the points with every run."""
    found = [
        {
            "method": p.method,
            "shots": "all" if p.shots is None else p.shots,
            "images": p.images,
            "accuracy": round(p.mean, 6),
            "deviation": round(p.deviation, 6),
            "runs": [round(r, 6) for r in p.runs],
            "lambda": [float(f"{s:.6g}") for s in p.strengths],
        }
        for p in points
    ]
    return {**facts, "points": found}


def chart(points: Sequence[Point], title: str) -> Figure:
    """Draw accuracy against shots with bands of one deviation; zero-shot is a level line."""
    few = [(p.shots, p) for p in points if p.shots]
    if not few:  # unreadable pictures may leave a class with fewer than the first number of shots
        raise InputError("--plot needs a curve, but no number of shots could be drawn")
    ends: list[float] = [min(shots for shots, _ in few), max(shots for shots, _ in few)]
    series: dict[str, list[tuple[float, float]]] = {}
    bands: dict[str, list[tuple[float, float, float]]] = {}
    for shots, p in few:
        mean, deviation = 100 * p.mean, 100 * p.deviation
        series.setdefault(p.method, []).append((shots, mean))
        low, high = max(0, mean - deviation), min(100, mean + deviation)
        bands.setdefault(p.method, []).append((shots, low, high))
    for p in points:
        if p.shots == 0:
            series[p.method] = [(x, 100 * p.mean) for x in dict.fromkeys(ends)]
    return line_chart(
        series, bands=bands, title=title, log_x=True,
        x_label="pictures of each class to learn from", y_label="accuracy, %",
    )  # fmt: skip


def blocks(files: Iterable[Path], probabilities: Tensor, names: Sequence[str], top: int) -> str:
    """Return each file with its `top` likeliest classes; 0 means all. Probabilities ``[N, C]``."""
    width = max(map(len, names))
    parts = []
    for file, row in zip(files, probabilities.tolist(), strict=True):
        order = sorted(range(len(names)), key=lambda i: -row[i])[: top or None]
        lines = [f"  {names[i]:<{width}}  {100 * row[i]:5.1f} %" for i in order]
        parts.append("\n".join([printable(file), *map(printable, lines)]))
    return "\n".join(parts)


def class_rows(
    files: Sequence[Path], probabilities: Tensor, names: Sequence[str]
) -> Iterator[list[object]]:
    """Give file, likeliest class and all probabilities ``[N, C]``."""
    yield ["file", "class", *names]
    for file, row in zip(files, probabilities.tolist(), strict=True):
        best = names[max(range(len(names)), key=row.__getitem__)]
        yield [file, best, *(f"{p:.6f}" for p in row)]


def class_facts(
    files: Sequence[Path], probabilities: Tensor, names: Sequence[str], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `facts` and the probabilities ``[N, C]`` by file and class."""
    found = [
        {"file": str(f), "probabilities": {n: round(p, 6) for n, p in zip(names, row, strict=True)}}
        for f, row in zip(files, probabilities.tolist(), strict=True)
    ]
    return {**facts, "images": found}
