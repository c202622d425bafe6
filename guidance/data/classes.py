"""Labelled pictures: a folder with one folder for each class, or shards with labels → samples."""

from __future__ import annotations

from pathlib import Path

from guidance.data.shards import PICTURES, Sample, Samples, read
from guidance.errors import InputError


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
    """Return the pictures below ``folder/CLASS/`` with the class as label, ``_`` read as space."""
    samples = []
    for part in sorted(p for p in folder.iterdir() if p.is_dir()):
        name = part.name.replace("_", " ")
        for path in sorted(part.rglob("*")):
            if path.suffix.lower() in PICTURES:
                key = path.relative_to(folder).as_posix()
                place = (path, 0, None, path.suffix[1:].lower())
                samples.append(Sample(key, (), label=name, place=place))
    return Samples(samples)
