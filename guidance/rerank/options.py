"""The options of ``python -m guidance.rerank``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import tyro

from guidance.clip.names import parse_specs
from guidance.command.cli import Several, alias
from guidance.command.scoring import ScoringOptions
from guidance.conventions import check_count
from guidance.errors import InputError
from guidance.files.text import read_prompts
from guidance.prompts.grammar import Prompt
from guidance.rerank.criteria import parse_by
from guidance.score.prompts import prompts_for_ranking

NEAR = 0.95  # cosine of near-duplicates, for --unique alone


@dataclass(frozen=True, kw_only=True)
class RerankOptions(ScoringOptions):
    """Order images by how well they fit a prompt, are unique, or please; best first.

    The score is the cosine of CLIP's embeddings, from -1 to 1; of several prompts it is the
    weighted mean. Files that cannot be read are skipped and listed at the end.
    """

    inputs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[PROMPT] PATH...")
    ] = ()
    """The prompt ("a fox", "a fox:2 | fog:-0.5"), then images and folders of images. With --prompt
    or --prompts-file, and with a --by that needs no prompt, images and folders only."""
    prompt: Annotated[Several[tuple[str, ...]], alias("-p")] = ()
    """Prompt, instead of the first argument; may be repeated."""
    prompts_file: str | None = None
    """File with a prompt on each line; lines that begin with # are comments."""
    negative: Several[tuple[str, ...]] = ()
    """Prompt that should not fit, with an optional weight ("text:0.3"); may be repeated."""

    by: str = "prompt"
    """What to order by: prompt, uniqueness (how unlike all other images) or aesthetic (a head's
    rating), or several with weights: "prompt:1,uniqueness:0.5". Several are each counted in
    standard deviations above their mean; weight 0 shows a score without counting it."""
    aesthetic: str | None = None
    """Head that rates embeddings: of guidance.train.aesthetic, or LAION's for ViT-L-14/openai."""
    duplicates: float | None = None
    """List groups of images whose embeddings have at least this cosine, such as 0.95."""
    unique: bool = False
    """Rank the best of each such group alone (0.95 unless --duplicates says otherwise)."""
    diversity: float = 0.0
    """0 to 1: how much each of the --top should differ from those before it (maximal marginal
    relevance)."""
    judge: str | None = None
    """A second CLIP, named as for --clip, that scores the same images and prompts but does not
    order them; a warning says when it disagrees about the best."""

    top: Annotated[int, alias("-t")] = 8
    """How many to show, copy and draw; 0 means all. CSV, JSON and gallery always hold all."""
    per_prompt: bool = False
    """Show a ranking for each prompt instead of one for all together."""
    filepath_only: Annotated[bool, alias("-f")] = False
    """Print the names alone, one a line."""
    copy_to: str | None = None
    """Folder for copies of the best, named 01_0.312_name.png."""
    sheet: str | None = None
    """Picture of the best with rank and score (.png, .jpg or .webp)."""
    gallery: str | None = None
    """Web page of the images (.html), one file that needs nothing else: arrow keys walk through
    it, Enter enlarges, / filters."""
    gain: str | None = None
    """Curve of what the best of N of these images scores (.png or .svg, or .csv for the
    numbers)."""
    csv: str | None = None
    """Table of all ranks and scores, with a column for each prompt if there are several."""
    json: str | None = None
    """The same with prompts, model and skipped files, as JSON."""
    strict: bool = False
    """End with exit code 1 if a file had to be skipped."""

    @property
    def threshold(self) -> float | None:
        """The cosine from which on images are near-duplicates; None leaves them alone."""
        return NEAR if self.unique and self.duplicates is None else self.duplicates

    @cached_property  # the file may be a pipe, which can be read but once
    def prompts_and_paths(self) -> tuple[list[str], list[str]]:
        """The prompts as texts, and the paths.

        Raises:
            InputError: either is missing, or there are prompts that --by does not use.
            FileError: the file of prompts cannot be read.
        """
        prompts, paths = list(self.prompt), list(self.inputs)
        if "prompt" not in parse_by(self.by):
            if prompts or self.prompts_file is not None or self.negative:
                raise InputError(f"--by {self.by} uses no prompt; add prompt or prompt:0 to it")
        else:
            if self.prompts_file is not None:
                prompts += read_prompts(self.prompts_file)
            elif not prompts and paths:
                prompts.append(paths.pop(0))
                if Path(prompts[0]).is_dir():
                    raise InputError(
                        f"the prompt comes before the images but {prompts[0]!r} is a folder"
                    )
            if not prompts or not all(p.strip() for p in prompts):
                raise InputError("a prompt is needed, as in: rerank PROMPT PATH...")
        if not paths:
            where = "after the prompt" if prompts else f"with --by {self.by}"
            raise InputError(f"images or folders are needed {where}")
        return prompts, paths

    @cached_property
    def wanted(self) -> tuple[Prompt, ...]:
        """The prompts, parsed; none if --by uses none.

        Raises:
            InputError, FileError: as `prompts_and_paths`.
            PromptError: a prompt does not follow the grammar.
        """
        prompts, _ = self.prompts_and_paths
        return prompts_for_ranking(prompts, self.negative) if prompts else ()

    def check(self) -> None:
        """Raise `InputError` for values that are out of range or do not go together.

        Raises:
            InputError, FileError: also for prompts and paths, see `wanted`.
        """
        weights = parse_by(self.by)
        for name, low, high in (("duplicates", -1, 1), ("diversity", 0, 1)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"--{name} must be from {low} to {high} but is {value:g}")
        if ("aesthetic" in weights) != (self.aesthetic is not None):
            wish = "a head: --aesthetic FILE" if self.aesthetic is None else (
                "--by aesthetic, or aesthetic:0 to show the rating alone"
            )  # fmt: skip
            given = "--by aesthetic" if self.aesthetic is None else "--aesthetic"
            raise InputError(f"{given} needs {wish}")
        if "prompt" not in weights:
            for name in ("judge", "per_prompt"):
                if getattr(self, name):
                    option = name.replace("_", "-")
                    raise InputError(f"--{option} needs prompts: add prompt or prompt:0 to --by")
        if self.per_prompt and self.diversity:
            raise InputError("--per-prompt and --diversity order the images in different ways")
        check_count("top", self.top, 0)
        self.check_embedding()
        _ = self.wanted
        self._check_copy_to()
        self._check_judge()

    def _check_copy_to(self) -> None:
        """Refuse a folder for copies that is itself ranked."""
        folder = self.copy_to
        if folder is None:
            return
        if not folder.strip():
            raise InputError("--copy-to must be a folder but is empty")
        for path in map(Path, self.prompts_and_paths[1]):
            if path.is_dir() and path.resolve() == Path(folder).resolve():
                raise InputError(f"--copy-to must not be a folder that is ranked but is {folder}")

    def _check_judge(self) -> None:
        """Look at the names of both models before the first is loaded."""
        own = {spec.name for spec in parse_specs(self.clip)}
        if self.judge is not None:
            judges = {spec.name for spec in parse_specs(self.judge)}
            if own & judges:
                raise InputError(
                    f"--judge must be another CLIP than --clip but both name {min(own & judges)}"
                )
