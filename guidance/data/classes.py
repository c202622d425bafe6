"""Labelled pictures: a folder with one folder for each class, or shards with labels → samples."""

from __future__ import annotations

from pathlib import Path

from guidance.data.captions import tidy
from guidance.data.folder import pictures_below, place_of
from guidance.data.samples import Sample, Samples
from guidance.data.shards import read
from guidance.errors import InputError
from guidance.files.text import read_lines
from guidance.images.collect import is_hidden

TOKENIZATION = "_tokenization.txt"
PARTS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation"))


def labelled(source: str) -> Samples:
    """Open labelled pictures.

    Args:
        source: A folder with a folder of pictures for each class, named after it, or a pattern of
            tar shards whose samples have labels.

    Raises:
        InputError: nothing there, or fewer than two classes with pictures.
    """
    path = Path(source)
    samples = class_folder(path) if path.is_dir() else read([source]).where(lambda s: s.label)
    if len({s.label for s in samples}) < 2:
        raise InputError(
            f"classes: {source} must hold a folder of pictures for each of two classes or more, "
            "or be shards with labels"
        )
    return samples


def class_folder(folder: Path) -> Samples:
    """Return the pictures below ``folder/CLASS/`` with the class as label, ``_`` read as space.

    Hidden files and folders are passed over.

    With a file ``_tokenization.txt`` in the folder or in the one above it (Roboflow's CLIP format),
    which holds a caption on each line in the order of the sorted names of the class folders, the
    pictures have the caption of their class.

    Raises:
        InputError: another number of captions than of classes, or the folder holds the parts of a
            data set (train, test, ...) rather than classes.
        FileError: the captions cannot be read.
    """
    parts = sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))
    if parts and all(p.name.lower() in PARTS for p in parts):
        names = ", ".join(p.name for p in parts)
        raise InputError(
            f"classes: {folder} holds the parts of a data set ({names}); "
            f"name one of them, as in {folder / parts[0].name}"
        )
    captions = _captions(folder, [p.name for p in parts])
    samples = []
    for part, caption in zip(parts, captions, strict=True):
        name = part.name.replace("_", " ")
        for path in pictures_below(part):
            key = path.relative_to(folder).as_posix()
            samples.append(Sample(key, caption, label=name, place=place_of(path)))
    return Samples(samples)


def _captions(folder: Path, classes: list[str]) -> list[tuple[str, ...]]:
    """Return the captions of each class folder, none without a file of captions."""
    inside = folder.resolve()
    found = [p for p in (inside / TOKENIZATION, inside.parent / TOKENIZATION) if p.is_file()]
    if not found:
        return [()] * len(classes)
    captions = [c for c in map(tidy, read_lines(found[0], "captions")) if c]
    if len(captions) != len(classes):
        raise InputError(
            f"{found[0]} must hold a caption for each of the {len(classes)} class folders of "
            f"{folder}, in the order of their sorted names, but holds {len(captions)}"
        )
    return [(caption,) for caption in captions]
