"""The options of ``python -m guidance.classify``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import tyro

from guidance.clip.names import may_judge_alone
from guidance.command.cli import Several, alias
from guidance.command.scoring import ScoringOptions
from guidance.conventions import check_count
from guidance.errors import InputError
from guidance.files.text import read_prompts
from guidance.prompts.characters import emptiness

LABELS = ("--labels", "--label", "-l")
IMAGE_FORMS = ("name",)
BENCHMARK_FORMS = ("name", "photo", "simple7")


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(ScoringOptions):
    """Say which of the labels fits each image, with probabilities.

    The probabilities are the softmax over the labels of CLIP's scale times the cosine: they compare
    the labels with each other, and sum to 1 even if none fits. Models trained with a sigmoid
    (SigLIP) judge each label by itself: several may fit, or none. With --benchmark, measure how
    often the best label is right on a folder with one folder of images for each class.
    """

    TOO_FEW: ClassVar[str] = (
        "labels must be two or more, as in: classify PATH... --labels LABEL LABEL; a probability "
        "says which of several fits best, except with models trained with a sigmoid (SigLIP)"
    )

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATH...")] = ()
    """Images and folders of images. They come before --labels, or after "--"."""
    labels: Annotated[Several[tuple[str, ...]], alias(*LABELS[1:])] = ()
    """Labels to choose from, two or more: --labels "a dog" "a girl wearing a beanie"."""
    labels_file: str | None = None
    """File with a label on each line; lines that begin with # are comments."""
    templates: Annotated[Several[tuple[str, ...]], alias("-t", "--template", "--prompt-form")] = ()
    """Sentence with {} for the label, a file of such, or a set: imagenet (80 sentences), simple
    (7), photo, name; may be repeated. Of several the embeddings are averaged; a benchmark also
    measures each for itself. By default name, of a benchmark: name, photo and simple."""
    benchmark: str | None = None
    """Folder with a folder of images for each class, named after it; with _tokenization.txt beside
    them, a caption for each class. Or a pattern of tar shards with labels."""

    top: int = 5
    """How many labels to print for each image; 0 means all. CSV and JSON always hold all."""
    softmax: bool = False
    """Compare the labels with each other with a model trained with a sigmoid too, as ensembles of
    both kinds always do, and as a benchmark does, where one class is right."""
    csv: str | None = None
    """Table of all probabilities; of a benchmark, of what each image was taken for."""
    json: str | None = None
    """The same with cosines, model and skipped files, or all figures of a benchmark, as JSON."""
    sheet: str | None = None
    """Picture of the images with their best labels (.png, .jpg or .webp), or of the confusion
    matrices of a benchmark (.svg too)."""
    no_cache: bool = False
    """Do not keep the embeddings of many labels on disk."""
    strict: bool = False
    """End with exit code 1 if a file had to be skipped."""

    @cached_property  # the file may be a pipe, which can be read but once
    def all_labels(self) -> list[str]:
        """The labels, each once.

        Raises:
            InputError: none, an empty one, or one that nothing can be compared with.
            FileError: the file of labels cannot be read.
        """
        given = list(self.labels) + (read_prompts(self.labels_file) if self.labels_file else [])
        labels = list(dict.fromkeys(label.strip() for label in given))
        for empty in filter(None, (emptiness(label, "a label") for label in labels)):
            raise InputError(empty)
        alone = len(labels) == 1 and not self.softmax and may_judge_alone(self.clip)
        if len(labels) < 2 and not alone:
            raise InputError(self.TOO_FEW)
        return labels

    def check(self) -> None:
        """Raise `InputError` or `FileError` for values that are out of range or do not fit."""
        if self.benchmark is None:
            if not self.inputs:
                raise InputError("images or folders are needed, before --labels or after --")
            _ = self.all_labels
        elif self.inputs:
            raise InputError(f"--benchmark takes no further images but is given {self.inputs[0]!r}")
        elif self.labels or self.labels_file:
            raise InputError(
                "--benchmark takes its labels from the folders; --labels is for images"
            )
        check_count("top", self.top, 0)
        self.check_embedding()

    def forms(self) -> tuple[str, ...]:
        """Return the templates as typed, or their default."""
        return self.templates or (IMAGE_FORMS if self.benchmark is None else BENCHMARK_FORMS)
