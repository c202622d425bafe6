"""The options of ``python -m guidance.interrogate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from guidance.command.cli import alias
from guidance.command.scoring import ScoringOptions
from guidance.conventions import check_count
from guidance.errors import InputError


@dataclass(frozen=True, kw_only=True)
class InterrogateOptions(ScoringOptions):
    """Say which words fit each image best: for a prompt, a caption or a search.

    Phrases of several lists (subjects, settings, media, styles, colours, light, moods, composition,
    materials) are compared with the image; from the best of each, words are put together one phrase
    at a time, as long as the cosine rises.
    """

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATH...")] = ()
    """Images and folders of images."""
    lists: str | None = None
    """Folder of one's own lists, instead of ours: NAME.txt with a phrase on each line; lines that
    begin with # are comments. The words begin with a phrase of subjects.txt if it is there."""
    length: int = 6
    """Phrases put together at most; 0 for none."""
    top: int = 3
    """Best phrases shown of each list; 0 for none."""
    brief: Annotated[bool, alias("-1")] = False
    """Print the words alone, a line for each image."""
    json: str | None = None
    """All of it with cosines, model and skipped files, as JSON."""
    no_cache: bool = False
    """Do not keep the embeddings of the phrases on disk."""
    strict: bool = False
    """End with exit code 1 if a file had to be skipped."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is missing or out of range."""
        if not self.inputs:
            raise InputError("images or folders are needed, as in: interrogate PATH...")
        check_count("length", self.length, 0, 50)
        check_count("top", self.top, 0)
        self.check_embedding()
