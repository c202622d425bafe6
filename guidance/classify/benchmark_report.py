"""What a benchmark found → tables, rows, facts and a picture of the confusion matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from guidance.classify import matrix
from guidance.classify.records import Benchmark, Measured
from guidance.errors import counted
from guidance.files.facts import rounded
from guidance.files.tables import table
from guidance.files.writing import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = 20  # classes whose confusion matrix fits on a terminal
LISTED = 50  # classes whose accuracy is listed; of more the lowest
PAIRS = 10  # confusions that are listed for more than `SMALL` classes


def text(done: Benchmark) -> str:
    """Return all tables: the forms side by side, the classes, and the best form's confusions."""
    forms = {f"{i}  {printable(m.form.title)}": m.figures for i, m in enumerate(done.found, 1)}
    heading = (
        f"{counted(len(done.labels), 'image')} of {counted(len(done.names), 'class', 'classes')} "
        f"in {printable(done.folder)}"
    )
    parts = [
        f"{heading}, by {done.clip}; all in % but NLL",
        table("prompt form", forms),
        _classes(done),
        _confusions(done.names, done.best, done.found.index(done.best) + 1),
    ]
    return "\n\n".join(part for part in parts if part)


def _classes(done: Benchmark) -> str:
    """Return the accuracy of each class, in columns numbered as the forms are."""
    names, best = done.names, done.best
    counts = torch.bincount(done.labels, minlength=len(names)).tolist()
    order = list(range(len(names)))
    title = "accuracy per class"
    if len(order) > LISTED:
        order = sorted((i for i in order if counts[i]), key=lambda i: best.per_class[i])[:LISTED]
        title = f"the {LISTED} hardest classes"
    rows = {
        printable(names[i]): {"images": counts[i]}
        | {f"form {n}": m.per_class[i] if counts[i] else None for n, m in enumerate(done.found, 1)}
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


def rows(done: Benchmark) -> Iterator[list[object]]:
    """Give a line for each image: file, class, and what each form took it for, how surely."""
    titles = [t for m in done.found for t in (m.form.title, f"{m.form.title} probability")]
    yield ["file", "class", *titles]
    for place, key in enumerate(done.keys):
        cells = []
        for m in done.found:
            cells += [done.names[m.guesses[place]], f"{m.confidence[place]:.6f}"]
        yield [key, done.names[done.labels[place]], *cells]


def content(done: Benchmark) -> dict[str, Any]:
    """Return all figures of all forms."""
    forms = [
        {
            "form": m.form.title,
            "sentences": dict(zip(done.names, map(list, m.form.texts), strict=True)),
            "figures": rounded(m.figures),
            "per class": rounded(dict(zip(done.names, m.per_class, strict=True))),
            "confusion": m.confusion.tolist(),
            "reliability": rounded({k: v.tolist() for k, v in m.reliability.items()}),
        }
        for m in done.found
    ]
    return {
        "clip": done.clip,
        "folder": done.folder,
        "images": len(done.labels),
        "classes": list(done.names),
        "best": done.best.form.title,
        "forms": forms,
    }


def sheet(done: Benchmark) -> Figure:
    """Draw the confusion matrices of all forms side by side."""
    panels = [
        (f"{n}  {m.form.title}   {m.figures['top-1']:.1f} %", m.confusion)
        for n, m in enumerate(done.found, 1)
    ]
    return matrix.draw(panels, done.names)
