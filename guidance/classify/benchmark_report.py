"""What a benchmark found → tables, CSV, JSON and pictures of the confusion matrices."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from guidance.artefacts.plot import save
from guidance.classify import matrix
from guidance.embeddings.results import Skipped
from guidance.errors import counted
from guidance.files import tables
from guidance.files.tables import table
from guidance.files.writing import printable, write

if TYPE_CHECKING:
    from guidance.classify.benchmark import Measured
    from guidance.classify.options import ClassifyOptions

SMALL = 20  # classes whose confusion matrix fits on a terminal
LISTED = 50  # classes whose accuracy is listed; of more the lowest
PAIRS = 10  # confusions that are listed for more than `SMALL` classes


def text(
    options: ClassifyOptions, names: Sequence[str], labels: Tensor, found: Sequence[Measured]
) -> str:
    """Return all tables: the forms side by side, the classes, and the best form's confusions."""
    best = _best(found)
    forms = {f"{i}  {printable(m.form.title)}": m.figures for i, m in enumerate(found, 1)}
    heading = (
        f"{counted(len(labels), 'image')} of {counted(len(names), 'class', 'classes')} in "
        f"{printable(options.benchmark)}"
    )
    parts = [
        f"{heading}, by {options.clip}; all in % but NLL",
        table("prompt form", forms),
        _classes(names, labels, found, best),
        _confusions(names, best, found.index(best) + 1),
    ]
    return "\n\n".join(part for part in parts if part)


def _classes(
    names: Sequence[str], labels: Tensor, found: Sequence[Measured], best: Measured
) -> str:
    """Return the accuracy of each class, in columns numbered as the forms are."""
    counts = torch.bincount(labels, minlength=len(names)).tolist()
    order = list(range(len(names)))
    title = "accuracy per class"
    if len(order) > LISTED:
        order = sorted((i for i in order if counts[i]), key=lambda i: best.per_class[i])[:LISTED]
        title = f"the {LISTED} hardest classes"
    rows = {
        printable(names[i]): {"images": counts[i]}
        | {f"form {n}": m.per_class[i] if counts[i] else None for n, m in enumerate(found, 1)}
        for i in order
    }
    return table(title, rows)


def _confusions(names: Sequence[str], best: Measured, number: int) -> str:
    """Return the confusion matrix of the best form or, of many classes, its largest entries."""
    if len(names) <= SMALL:
        rows = {
            f"{i}  {printable(names[i - 1])}": {str(j): c or "·" for j, c in enumerate(row, 1)}
            for i, row in enumerate(best.confusion.tolist(), 1)
        }
        return table(f"form {number}: is, taken for", rows)
    off = best.confusion.clone()
    off.fill_diagonal_(0)
    largest = off.flatten().argsort(descending=True, stable=True)[:PAIRS].tolist()
    pairs = [divmod(i, len(names)) for i in largest if off.flatten()[i]]
    if not pairs:
        return ""
    rows = {
        f"{printable(names[i])} → {printable(names[j])}": {
            "images": int(off[i, j]), "of": int(best.confusion[i].sum())
        }
        for i, j in pairs
    }  # fmt: skip
    return table(f"form {number}: most confused", rows)


def write_csv(
    path: str | os.PathLike,
    names: Sequence[str],
    labels: Tensor,
    keys: Sequence[str],
    found: Sequence[Measured],
) -> None:
    """Write a line for each image: file, class, and what each form took it for, how surely."""
    titles = [title for m in found for title in (m.form.title, f"{m.form.title} probability")]
    rows: list[list[object]] = [["file", "class", *titles]]
    for place, key in enumerate(keys):
        cells = []
        for m in found:
            cells += [names[m.guesses[place]], f"{m.confidence[place]:.6f}"]
        rows.append([key, names[labels[place]], *cells])
    tables.write_csv(path, rows)


def write_json(
    path: str | os.PathLike,
    options: ClassifyOptions,
    names: Sequence[str],
    labels: Tensor,
    found: Sequence[Measured],
    skipped: Sequence[Skipped],
) -> None:
    """Write all figures of all forms."""
    forms = []
    for m in found:
        forms.append(
            {
                "form": m.form.title,
                "sentences": dict(zip(names, map(list, m.form.texts), strict=True)),
                "figures": _rounded(m.figures),
                "per class": _rounded(dict(zip(names, m.per_class, strict=True))),
                "confusion": m.confusion.tolist(),
                "reliability": _rounded({k: v.tolist() for k, v in m.reliability.items()}),
            }
        )
    content = {
        "clip": options.clip,
        "folder": options.benchmark,
        "images": len(labels),
        "classes": list(names),
        "best": _best(found).form.title,
        "forms": forms,
        "skipped": [{"file": str(s.source), "reason": s.reason} for s in skipped],
    }
    write(path, json.dumps(content, indent=2) + "\n")


def write_sheet(path: str | os.PathLike, names: Sequence[str], found: Sequence[Measured]) -> None:
    """Draw the confusion matrices of all forms side by side."""
    panels = [
        (f"{n}  {m.form.title}   {m.figures['top-1']:.1f} %", m.confusion)
        for n, m in enumerate(found, 1)
    ]
    save(matrix.draw(panels, names), path)


def _best(found: Sequence[Measured]) -> Measured:
    """Return the form of the highest top-1; of equal ones the first."""
    return max(found, key=lambda m: m.figures["top-1"])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value
