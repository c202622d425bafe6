"""The options of ``python -m guidance.rerank``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from guidance.cli import Several, alias
from guidance.collect import read_prompts
from guidance.errors import InputError
from guidance.scoring_options import ScoringOptions


@dataclass(frozen=True, kw_only=True)
class RerankOptions(ScoringOptions):
    """Order images by how well they fit a prompt, best first.

    The score is the cosine of CLIP's embeddings, from -1 to 1; of several prompts it is the
    weighted mean. Files that cannot be read are skipped and listed at the end.
    """

    inputs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[PROMPT] PATH...")
    ] = ()
    """The prompt ("a fox", "a fox:2 | fog:-0.5"), then images and folders of images. With --prompt
    or --prompts-file, images and folders only."""
    prompt: Annotated[Several[tuple[str, ...]], alias("-p")] = ()
    """Prompt, instead of the first argument; may be repeated."""
    prompts_file: str | None = None
    """File with a prompt on each line; lines that begin with # are comments."""
    negative: Several[tuple[str, ...]] = ()
    """Prompt that should not fit, with an optional weight ("text:0.3"); may be repeated."""

    top: Annotated[int, alias("-t")] = 8
    """How many to show, copy and draw; 0 means all. CSV and JSON always hold all."""
    per_prompt: bool = False
    """Show a ranking for each prompt instead of one for all together."""
    filepath_only: Annotated[bool, alias("-f")] = False
    """Print the names alone, one a line."""
    copy_to: str | None = None
    """Folder for copies of the best, named 01_0.312_name.png."""
    sheet: str | None = None
    """Picture of the best with rank and score (.png, .jpg or .webp)."""
    csv: str | None = None
    """Table of all ranks and scores, with a column for each prompt if there are several."""
    json: str | None = None
    """The same with prompts, model and skipped files, as JSON."""
    strict: bool = False
    """End with exit code 1 if a file had to be skipped."""

    def split(self) -> tuple[list[str], list[str]]:
        """Return the prompts as texts, and the paths.

        Raises:
            InputError: either is missing.
            FileError: the file of prompts cannot be read.
        """
        prompts, paths = list(self.prompt), list(self.inputs)
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
            raise InputError("images or folders are needed after the prompt")
        return prompts, paths
