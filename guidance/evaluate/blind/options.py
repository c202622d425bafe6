"""The options of making a sheet of pictures to be named blind, and of scoring the answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from guidance.command.cli import Several, alias
from guidance.conventions import MAX_SEED, check_count, check_range
from guidance.errors import FileError, InputError
from guidance.evaluate.blind import lists
from guidance.evaluate.blind.answers import check_empty
from guidance.evaluate.blind.drawing import plan
from guidance.evaluate.blind.pictures import find
from guidance.evaluate.outputs import check_outputs
from guidance.files.text import missing

MOST = 400  # pictures of a sheet; more cannot be told apart


@dataclass(frozen=True)
class BlindOptions:
    """Make a shuffled sheet of numbered pictures for somebody who names them, and its key.

    The pictures are made from prompts by a technique, whose own options stand behind "--", or are
    there already (--pictures). OUTPUT/judge is for whoever names them: sheet.png, names.txt to
    choose from, answers.csv to fill in; OUTPUT/key.csv is not.
    """

    output: Annotated[Path, alias("-o")]
    """Folder; with pictures of an earlier call in it, only those that are missing are made."""
    technique: str | None = None
    """What makes the pictures: clipdraw, diffusion, pixels, vqgan, or that of another package."""
    own: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="-- OPTION...")
    ] = ()
    """Options of the technique, behind "--" and all others: -- --steps 100 --strokes 256."""
    prompts: Several[tuple[str, ...]] = ()
    """File of prompts, one a line, or "fresh": twenty that nothing was tuned on; may be repeated.
    A name other than the prompt's words stands behind a tab or " = ", further ones behind bars."""
    prompt: Annotated[Several[tuple[str, ...]], alias("-p")] = ()
    """Prompt by itself, as in a line of such a file; may be repeated."""
    pictures: Several[tuple[str, ...]] = ()
    """Pictures that are there: a file, the folder of a run, of runs or of pictures; may be
    repeated. With prompts, those of other prompts are left out."""
    limit: int | None = None
    """Prompts at most, the first ones."""
    each: int = 1
    """Pictures made of each prompt, of the seeds SEED, SEED + 1, ..."""
    distractors: str | None = None
    """Names to choose from besides the right ones: a file, one a line with other words for it
    behind bars, "everyday" (the default), "fresh" (that of the fresh prompts) or "none"."""
    seed: int = 0
    """Seed of the pictures that are made, and of the order of pictures and names."""
    tile: int = 256
    """Side of the square of a picture on the sheet, pixels."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar and no note of what was written."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load no model."""
        check_range("seed", self.seed, 0, MAX_SEED)
        check_count("each", self.each, 1, MOST)
        check_count("tile", self.tile, 64, 1024)
        if self.limit is not None:
            check_count("limit", self.limit, 1)
        self._check_sources()
        if self.output.exists() and not self.output.is_dir():
            raise FileError(f"output must be a folder but {self.output} is a file")
        check_empty(self.output / "judge" / "answers.csv")
        self.groups()
        made = self.technique is not None
        count = len(plan(self) if made else find(self.pictures, self.wanted()))
        if count > MOST:
            raise InputError(f"a sheet may show {MOST} pictures at most, but these are {count:,}")

    def wanted(self) -> list[lists.Wanted]:
        """Return what the pictures should show; nothing if no prompts were given.

        Raises:
            InputError: a prompt is there twice, or one cannot be used.
            FileError: a file of prompts cannot be read.
        """
        found = [w for source in self.prompts for w in lists.read_wanted(source)]
        found += [lists.wanted(text) for text in self.prompt]
        seen: set[str] = set()
        for w in found:
            if w.prompt in seen:
                raise InputError(f"the prompt {w.prompt!r} is there twice; --each makes several")
            seen.add(w.prompt)
        return found[: self.limit]

    def groups(self) -> list[lists.Group]:
        """Return the things to choose from besides what is wanted."""
        return lists.read_groups(self.distractors or lists.companion(self.prompts))

    def _check_sources(self) -> None:
        """Raise `InputError` unless it is clear where the pictures come from."""
        if self.own and not self.own[0].startswith("-"):
            raise InputError(
                f"unexpected argument {self.own[0]!r}: prompts are given by --prompts FILE and "
                "--prompt TEXT, and may be repeated"
            )
        if (self.technique is None) == (not self.pictures):
            raise InputError("give either --technique NAME with prompts, or --pictures FOLDER")
        if self.technique is not None and not (self.prompts or self.prompt):
            raise InputError("prompts are needed: --prompts FILE, --prompts fresh or --prompt TEXT")
        if self.pictures and (self.own or self.each > 1):
            what = self.own[0] if self.own else "--each"
            raise InputError(f"{what} is for pictures that are made, not for --pictures")


@dataclass(frozen=True)
class NamingOptions:
    """Score what somebody called the pictures of a sheet, blind.

    Each sheet of answers is one judge: rows of number, name and likeness (0 to 10, how well the
    picture shows what it was taken for). An empty name says that there was none to be told; the
    likenesses may all be left out.
    """

    key: Path
    """The key of the sheet, key.csv."""
    answers: Several[tuple[Path, ...]]
    """Sheet of answers, filled in; repeated for several judges."""
    names: Path | None = None
    """The names there were to choose from; by default judge/names.txt or names.txt beside the
    key, if it is there."""
    json: Path | None = None
    """Write all figures to this file."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed."""
        for path in (self.key, *self.answers, *([self.names] if self.names else [])):
            if not path.is_file():
                raise FileError(f"{path} is a folder" if path.exists() else missing(path))
        doubles = [path for i, path in enumerate(self.answers) if path in self.answers[:i]]
        if doubles:
            raise InputError(f"answers: {doubles[0]} is given twice")
        check_outputs(None, self.json)
