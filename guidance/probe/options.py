"""The options of ``python -m guidance.probe``."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import tyro

from guidance.clip.names import parse_specs
from guidance.command.cli import Several, alias
from guidance.command.scoring import ScoringOptions
from guidance.conventions import MAX_SEED, check_count, check_range
from guidance.embeddings.check import check_store
from guidance.errors import InputError

METHODS = ("linear", "coop", "cocoop")
TRAINING = ("method", "plot", "save", "template")  # nothing of --apply
MAX_SHOTS = 100_000


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(ScoringOptions):
    """Learn to classify from labelled pictures, with a frozen CLIP, and compare with zero-shot.

    FOLDER holds a folder of pictures for each class, or train, val and test folders that do. The
    figures are accuracies on test pictures: for a few pictures of each class ("shots") and for all.
    """

    inputs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FOLDER | PATH...")
    ] = ()
    """The folder of classes; with --apply, images and folders of images."""
    method: Annotated[Several[tuple[Literal["linear", "coop", "cocoop"], ...]], alias("--by")] = ()
    """linear (logistic regression on the features), coop (learned words of the prompt) or cocoop
    (learned words that depend on the image); may be repeated to compare. By default linear."""
    features: Literal["tower", "embedding"] = "tower"
    """What the linear probe reads: the image tower before its projection, or the embedding."""
    shots: str = "1,2,4,8,16"
    """Pictures of each class to learn from, in steps of the few-shot curve; none leaves it out."""
    draws: int = 3
    """How often those pictures are drawn anew; figures are mean and deviation over the draws."""
    template: Annotated[Several[tuple[str, ...]], alias("-t", "--templates")] = ()
    """Sentence with {} for zero-shot, or a set of them (photo, simple, imagenet, name); may be
    repeated. By default photo, or the captions of _tokenization.txt."""
    context: str = "a photo of a"
    """Words that coop and cocoop begin with, or a number of random vectors, as in 16."""
    per_class: bool = False
    """Learn the words of every class for themselves rather than common ones (coop, cocoop)."""
    steps: int = 100
    """Steps of the training of coop and cocoop."""
    rate: float = 0.002
    """Learning rate of coop and cocoop."""
    val_share: float = 0.2
    """Part of the pictures that is held out to choose the regularisation, if there is no folder
    val."""
    test_share: float = 0.2
    """Part of the pictures to measure on, if there is no folder test."""
    seed: int = 0
    """Of all that is drawn: the parts, the shots, random contexts, the order of the training."""

    plot: str | None = None
    """Picture of the few-shot curves (.png, .svg, .jpg or .webp)."""
    csv: str | None = None
    """Table of all figures."""
    json: str | None = None
    """All figures with the runs they come from, as JSON."""
    save: str | None = None
    """File for what was learned from all pictures but the test pictures (.safetensors)."""
    apply: str | None = None
    """File of --save: classify images with it."""
    top: int = 3
    """With --apply, how many classes to print for each image; 0 means all."""
    strict: bool = False
    """End with exit code 1 if a file had to be skipped."""

    def methods(self) -> tuple[str, ...]:
        """Return the methods, each once."""
        return tuple(dict.fromkeys(self.method)) or ("linear",)

    def shot_numbers(self) -> list[int]:
        """Return the numbers of shots in rising order, empty for "none".

        Raises:
            InputError: it is not a list of whole numbers.
        """
        if self.shots.strip().lower() in ("none", ""):
            return []
        parts = [part.strip() for part in self.shots.split(",")]
        if not all(re.fullmatch("[0-9]+", p) and 0 < int(p) <= MAX_SHOTS for p in parts):
            raise InputError(
                f"--shots must be none or whole numbers from 1, as in 1,2,4, but is {self.shots!r}"
            )
        return sorted({int(p) for p in parts})

    def check(self) -> None:
        """Raise `InputError` or `FileError` for values that are not allowed; load nothing."""
        shots = self.shot_numbers()
        if self.apply is not None:
            self._check_apply()
        elif len(self.inputs) != 1:
            raise InputError(f"probe takes one folder of classes but got {len(self.inputs)} paths")
        if self.save is not None and len(self.methods()) > 1:
            raise InputError(f"--save takes one method but got {', '.join(self.methods())}")
        if self.plot is not None and not shots and self.apply is None:
            raise InputError("--plot draws the few-shot curve, which --shots none leaves out")
        if self.engine != "local":
            raise InputError("--engine ray computes embeddings; the features of probe need local")
        self._check_ranges()

    def _check_ranges(self) -> None:
        """Raise `InputError` or `FileError` for values that are out of range."""
        check_count("batch", self.batch, 1, 65536)
        check_count("workers", self.workers, 0, 64)
        check_count("draws", self.draws, 1, 1000)
        check_count("steps", self.steps, 0)
        check_count("top", self.top, 0)
        check_count("seed", self.seed, 0, MAX_SEED)
        check_range("rate", self.rate, 0, above=True)
        for name in ("val_share", "test_share"):
            check_range(f"--{name.replace('_', '-')}", getattr(self, name), 0, 0.9, above=True)
        if len(parse_specs(self.clip)) > 1:
            raise InputError(f"probe takes one CLIP model but got {self.clip!r}")
        check_store(self.store)

    def _check_apply(self) -> None:
        """Raise `InputError` unless there are images, and nothing that is meant for learning."""
        defaults = {f.name: f.default for f in fields(self)}
        for name in TRAINING:
            if getattr(self, name) != defaults[name]:
                raise InputError(f"--{name} is for learning and does nothing with --apply")
        if not self.inputs:
            raise InputError("images or folders are needed with --apply")
