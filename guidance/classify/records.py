"""What is found: of an image, how well each label fits; of a prompt form, how often it is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True)
class Classified:
    """One image and how well each label fits it.

    Attributes:
        source: the file.
        probabilities: of each label, in the order of the labels; see `ClipScorer.probabilities`.
        cosines: of each label, in [-1, 1].
    """

    source: Path
    probabilities: tuple[float, ...]
    cosines: tuple[float, ...]

    def best(self, count: int | None = None) -> list[int]:
        """Return the numbers of the labels that fit best; equal ones in the labels' order."""
        order = sorted(range(len(self.probabilities)), key=lambda i: -self.probabilities[i])
        return order[:count]


@dataclass(frozen=True)
class Form:
    """One way of saying the classes: its sentences of each class, averaged.

    Attributes:
        title: as it is shown.
        texts: sentences of each class; as many for every class.
    """

    title: str
    texts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Measured:
    """What one form achieved.

    Attributes:
        form: the form.
        figures: accuracy and calibration, see `guidance.score.accuracy`.
        per_class: accuracy of each class, in per cent.
        confusion: images of each class (row) taken for each (column), ``[C, C]``.
        reliability: see `guidance.score.accuracy.reliability`.
        guesses: class number each image was taken for, ``[N]``.
        confidence: its probability among the classes, ``[N]``.
    """

    form: Form
    figures: dict[str, float]
    per_class: list[float]
    confusion: Tensor
    reliability: dict[str, Tensor]
    guesses: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class Benchmark:
    """What was measured on a folder of classes.

    Attributes:
        clip: the models, as they were named.
        folder: where the images lie.
        names: of the C classes.
        labels: class numbers of the images ``[N]``.
        keys: names of the images.
        found: what each form achieved; at least one.
    """

    clip: str
    folder: str
    names: tuple[str, ...]
    labels: Tensor
    keys: list[str]
    found: list[Measured]

    @property
    def best(self) -> Measured:
        """The form of the highest top-1; of equal ones the first."""
        return max(self.found, key=lambda m: m.figures["top-1"])
