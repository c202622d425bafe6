"""Captioned pictures: what is known of each, and access to its pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from PIL import Image

from guidance.data.captions import captions_of, number_of, tags_of, text_of
from guidance.errors import FileError, InputError, counted
from guidance.files.writing import printable
from guidance.images import load_image

LISTED = 20  # of what was skipped; the rest is counted
Place = tuple[Path, int, int | None, str]


@dataclass(frozen=True)
class Sample:
    """What is known of one picture; its pixels stay on disk.

    Attributes:
        key: Name, unique within its shard.
        captions: Any of them may be shown; none at all for a picture of nothing.
        source: Data set it comes from.
        licence: Terms, in short.
        label: Class, if it has one.
        group: Pictures of one group match each other's captions; empty for none.
        weight: How often it is drawn, relative to others.
        tags: Further words for the sampling weights of a training.
        place: File, first byte, length in bytes (None for the whole file) and kind ("jpg").
    """

    key: str
    captions: tuple[str, ...]
    source: str = ""
    licence: str = ""
    label: str = ""
    group: str = ""
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    place: Place = (Path(), 0, None, "")


class Samples(Sequence[Sample]):
    """Samples with access to their pictures."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        return self._samples[index]

    def image(self, index: int) -> Image.Image:
        """Decode one picture as `load_image` does: mode RGB, or RGBA if it has transparency.

        Raises:
            FileError: the file is gone or is no picture.
        """
        sample = self._samples[index]
        path, _, length, _ = sample.place
        if length is None:
            return load_image(path, alpha=True)
        name = f"{path}: the picture {sample.key!r}"
        return load_image(self.raw(index)[0], name=name, alpha=True)

    def raw(self, index: int) -> tuple[bytes, str]:
        """Return the bytes of one picture as they lie on disk, and the ending of its name.

        Raises:
            FileError: the file is gone or cannot be read.
        """
        path, start, length, ending = self._samples[index].place
        try:
            with path.open("rb") as file:
                file.seek(start)
                return (file.read() if length is None else file.read(length)), ending
        except OSError as error:
            raise FileError(f"cannot read {path}: {error.strerror or error}") from error

    def where(self, keep) -> Samples:
        """Return the samples for which ``keep(sample)`` is true."""
        return Samples(s for s in self._samples if keep(s))

    def texts(self) -> list[str]:
        """Return all different captions in order of appearance."""
        return list(dict.fromkeys(c for s in self._samples for c in s.captions))


class Skipped:
    """What could not be used of a shard or folder: name → reason, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: dict[str, str] = {}

    def add(self, name: str, reason: object) -> None:
        """Remember that the member, file or line `name` cannot be used."""
        self.reasons[printable(name)] = printable(reason)

    def first(self) -> str:
        """Return the first name with its reason."""
        name, reason = next(iter(self.reasons.items()))
        return f"{name} {reason}"

    def tell(self, stacklevel: int) -> None:
        """Warn of each of the first `LISTED`, and how many more there are."""
        for name, reason in list(self.reasons.items())[:LISTED]:
            warnings.warn(f"{self.path}: {name} is skipped: it {reason}", stacklevel=stacklevel + 1)
        if (more := len(self.reasons) - LISTED) > 0:
            text = f"{self.path}: {counted(more, 'further entry', 'further entries')} skipped"
            warnings.warn(text, stacklevel=stacklevel + 1)


def sample_of(key: str, meta: dict[str, Any], place: Place) -> Sample:
    """Build a sample from the metadata of a shard or of a line of a captions file.

    Raises:
        InputError: there is neither a caption nor a label, or a value is of the wrong kind; reads
            on from the entry's name.
    """
    label = text_of(meta, "label")
    given = next((meta[k] for k in ("captions", "caption") if meta.get(k) is not None), None)
    if given is None and not label:
        raise InputError("has no caption")
    captions = captions_of([] if given is None else given)
    if not captions and given != [] and not label:
        raise InputError("has an empty caption")
    return Sample(
        key=key,
        captions=captions,
        source=text_of(meta, "source"),
        licence=text_of(meta, "licence", "license"),
        label=label,
        group=text_of(meta, "group"),
        weight=number_of(meta, "weight", 1.0),
        tags=tags_of(meta.get("tags")),
        place=place,
    )
