"""A folder of classes → labelled pictures in three parts, and their features.

The pictures that measure are never those that were learned from: parts are drawn class by class,
unless the folder comes with them as ``train``, ``val`` and ``test``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from guidance.conventions import derive_seed, make_generator
from guidance.data.classes import class_folder
from guidance.data.samples import Sample
from guidance.errors import FileError, InputError, counted, unknown

TRAIN, VAL, TEST = "train", "val", "test"
FOLDERS = {
    TRAIN: ("train", "training"),
    VAL: ("val", "valid", "validation"),
    TEST: ("test", "testing"),
}


@dataclass(frozen=True)
class Pictures:
    """Labelled files.

    Attributes:
        names: of the C classes, sorted.
        captions: sentence of each class, or empty.
        files, labels, parts: of each picture its file, class number, and one of train, val, test.
    """

    names: tuple[str, ...]
    captions: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    parts: tuple[str, ...]

    @property
    def fewest(self) -> int:
        """How many pictures to learn from the smallest class has."""
        counts = [0] * len(self.names)
        for label, part in zip(self.labels, self.parts, strict=True):
            counts[label] += part == TRAIN
        return min(counts)

    def keep(self, rows: Sequence[int]) -> Pictures:
        """Return the pictures at `rows` alone.

        Raises:
            FileError: a class is left without a picture to learn from, to choose by or to measure.
        """
        files = tuple(self.files[i] for i in rows)
        labels = tuple(self.labels[i] for i in rows)
        parts = tuple(self.parts[i] for i in rows)
        present = set(zip(labels, parts, strict=True))
        for number, name in enumerate(self.names):
            if (number, TRAIN) not in present:
                raise FileError(f"no picture of the class {name!r} to learn from can be read")
        for part in (VAL, TEST):
            if part not in parts:
                raise FileError(f"no picture of the part {part} can be read")
        return Pictures(self.names, self.captions, files, labels, parts)


@dataclass(frozen=True)
class Bank:
    """What is known of all pictures.

    Attributes:
        names: of the C classes.
        features: what the linear probe reads, ``[N, F]``.
        embeddings: ``[N, D]``, unit length.
        labels: class numbers ``[N]``.
        train, val, test: row numbers of the parts.
    """

    names: tuple[str, ...]
    features: Tensor
    embeddings: Tensor
    labels: Tensor
    train: Tensor
    val: Tensor
    test: Tensor

    def counts(self) -> dict[str, int]:
        """Return how many pictures each part has."""
        return {part: len(getattr(self, part)) for part in (TRAIN, VAL, TEST)}


def read(folder: str, *, val_share: float, test_share: float, seed: int) -> Pictures:
    """Find the pictures of `folder` and their parts; nothing is decoded.

    Without a folder ``test`` (or ``val``) that part is drawn from the pictures to learn from.

    Raises:
        InputError: no such folder, fewer than two classes, or one with too few pictures.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"a folder of classes is needed but {folder!r} is none")
    found = {part: path for part in FOLDERS if (path := _part_folder(root, part))}
    if found and TRAIN not in found:
        raise InputError(f"{folder} has a folder {found.popitem()[1].name} but no folder train")
    samples = {part: list(class_folder(path)) for part, path in (found or {TRAIN: root}).items()}
    names = sorted({s.label for s in samples[TRAIN]})
    if len(names) < 2:
        raise InputError(
            f"{found.get(TRAIN, root)} must hold a folder of pictures for each of two classes or "
            f"more but has {len(names)}"
        )
    for part in (VAL, TEST):
        for sample in samples.get(part, ()):
            if sample.label not in names:
                raise InputError(f"{found[part]}: " + unknown("class", sample.label, names))
    rows = _rows(samples, names, {VAL: val_share, TEST: test_share}, seed)
    captions = _captions([s for part in samples.values() for s in part], names)
    files, labels, parts = zip(*rows, strict=True)
    return Pictures(tuple(names), captions, files, labels, parts)


def _part_folder(root: Path, part: str) -> Path | None:
    wanted = FOLDERS[part]
    return next(
        (p for p in sorted(root.iterdir()) if p.is_dir() and p.name.lower() in wanted), None
    )


def _rows(
    samples: Mapping[str, list[Sample]],
    names: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
) -> list[tuple[Path, int, str]]:
    rows = [
        (s.place[0], names.index(s.label), part)
        for part in (VAL, TEST)
        for s in samples.get(part, ())
    ]
    draw = [part for part in (TEST, VAL) if not samples.get(part)]
    for number, name in enumerate(names):
        left = [s.place[0] for s in samples[TRAIN] if s.label == name]
        if len(left) <= len(draw):
            raise InputError(
                f"the class {name!r} has {counted(len(left), 'picture')} to learn from but needs "
                f"{len(draw) + 1}, {' and '.join(draw)} taken from them"
            )
        generator = make_generator(derive_seed(seed, "parts", name))
        order = [left[i] for i in torch.randperm(len(left), generator=generator).tolist()]
        total = len(order)
        for part in draw:
            room = len(order) - (2 if part == TEST and VAL in draw else 1)
            count = min(room, max(1, round(total * shares[part])))
            rows += [(path, number, part) for path in order[:count]]
            order = order[count:]
        rows += [(path, number, TRAIN) for path in order]
    return sorted(rows)


def _captions(samples: Sequence[Sample], names: Sequence[str]) -> tuple[str, ...]:
    found = {s.label: s.captions[0] for s in samples if s.captions}
    return tuple(found[n] for n in names) if set(found) == set(names) else ()


def draw(labels: Tensor, rows: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Return `shots` of `rows` of each class, or all of a class that has fewer.

    With an equal generator the rows of fewer shots are among those of more.
    """
    order = rows[torch.randperm(len(rows), generator=generator)]
    chosen = [order[labels[order] == c][:shots] for c in labels[rows].unique()]
    return torch.cat(chosen)
