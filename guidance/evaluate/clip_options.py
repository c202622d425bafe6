"""The options of measuring a CLIP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from guidance.clip.names import parse_specs
from guidance.command.cli import Several, alias
from guidance.command.tries_options import MOST_TRIES, TRY_STEPS
from guidance.conventions import MAX_SEED, check_device, check_range
from guidance.data.shards import find
from guidance.errors import InputError
from guidance.evaluate.judge_names import check_judge
from guidance.evaluate.outputs import check_outputs
from guidance.evaluate.probe_prompts import CUTS, PROMPTS, STEPS
from guidance.files.text import read_lines
from guidance.score.templates import templates

DEFAULT = ("openai80",)


@dataclass(frozen=True)
class ClipEvaluation:
    """Measure a CLIP: zero-shot classification, retrieval, and what it makes a drawing of."""

    clip: Annotated[str, alias("-m", "--clip-model")] = "mini"
    """The model: "mini", "ViT-B-32/laion2b_s34b_b79k", "RN50=file.pt", "path/to/folder"."""
    classes: Several[tuple[str, ...]] = ()
    """Folder with one folder of pictures for each class, named after it, or a pattern of tar
    shards with labels; may be repeated."""
    names: Path | None = None
    """File with names of further classes to choose from, one a line."""
    templates: Annotated[Several[tuple[str, ...]], alias("-t", "--template")] = ()
    """Sentence with {} for the class, a file of such, or a set: openai80 (the default), simple7,
    photo, name; may be repeated."""
    pairs: Several[tuple[str, ...]] = ()
    """Captioned pictures for retrieval: a pattern of tar shards or a folder; may be repeated."""
    captions: int | None = None
    """Captions of a picture that count, the first ones; by default all."""
    limit: int | None = None
    """Pictures at most, of each data set."""
    probe: bool = False
    """Draw the prompts of the guidance probe and have them judged."""
    judge: str = "efficientnet-lite1"
    """Judge of the drawings: efficientnet-lite0, -lite1 or -lite2, or another CLIP."""
    prompts: int = len(PROMPTS)
    """Prompts of the probe, the first ones."""
    steps: int = STEPS
    """Steps of each drawing, those of all its --tries among them."""
    tries: int = 1
    """Rough drawings to begin with, the best of which is finished with the steps that are left."""
    try_steps: int = TRY_STEPS
    """Steps of each of them."""
    cuts: int = CUTS
    """Cuts of each step."""
    seed: int = 0
    """Seed of the drawings."""
    sheet: Path | None = None
    """Save a contact sheet of the drawings here: .png, .jpg or .webp."""
    json: Path | None = None
    """Write all figures to this file."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        if not (self.classes or self.pairs or self.probe):
            raise InputError("nothing to measure: give --classes FOLDER, --pairs DATA or --probe")
        if len(parse_specs(self.clip)) > 1:
            raise InputError("clip: one model at a time can be measured")
        templates(self.templates or DEFAULT)
        check_device(self.device)
        for source in self.classes:
            find(source, "classes")
        if self.names and not self.names.is_file():
            raise InputError(f"names: {self.names} does not exist")
        if self.names:
            read_lines(self.names, "names")
        for pattern in self.pairs:
            find(pattern, "pairs")
        for name, value, high in (
            ("captions", self.captions, 1_000_000), ("limit", self.limit, 1_000_000_000),
            ("prompts", self.prompts, len(PROMPTS)),
            ("steps", self.steps, 1_000_000), ("cuts", self.cuts, 10_000),
            ("tries", self.tries, MOST_TRIES), ("try_steps", self.try_steps, 1_000_000),
        ):  # fmt: skip
            if value is not None:
                check_range(name, value, 1, high)
        check_range("seed", self.seed, 0, MAX_SEED)
        if self.tries > 1 and self.finished_steps() <= self.try_steps:
            raise InputError(
                f"steps must be more than {self.tries * self.try_steps}, those of {self.tries} "
                f"tries of {self.try_steps}, but are {self.steps}"
            )
        if self.probe:
            check_judge(self.judge)
            if self.judge == self.clip:
                raise InputError("judge: a model cannot judge its own drawings; name another")
        check_outputs(self.sheet, self.json)

    def finished_steps(self) -> int:
        """Return the steps of a finished drawing, without those of the tries given up."""
        return self.steps - (self.tries - 1) * self.try_steps
