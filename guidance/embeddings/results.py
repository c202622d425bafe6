"""What becomes of an image that is embedded: a vector, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Embedded:
    """What became of one image: a vector or else a reason.

    Attributes:
        index: place in the input, from 0; of a batch of tensors each image counts.
        source: the file, or None for an image that was given as such.
        vector: ``[D]`` float32 on the CPU, unit length.
        reason: why there is none, else empty, to follow the name of the file.
    """

    index: int
    source: Path | None
    vector: Tensor | None = None
    reason: str = ""


@dataclass(frozen=True)
class Skipped:
    """One image that could not be embedded, and why."""

    index: int
    source: Path | None
    reason: str
