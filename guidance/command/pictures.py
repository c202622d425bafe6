"""What a command that scores images begins with: paths → image files → CLIP → embeddings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from guidance.artefacts.sheet import without_sheet
from guidance.clip.scorer import ClipScorer
from guidance.command.scoring import ScoringOptions
from guidance.embeddings.embed import embed_all, store_for
from guidance.embeddings.results import Skipped
from guidance.errors import FileError, counted
from guidance.images.collect import collect


@dataclass(frozen=True)
class Pictures:
    """The images that a command was given.

    Attributes:
        files: each once, in their order.
        passed: how many other files of each suffix their folders hold.
    """

    files: list[Path]
    passed: Counter[str]

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class Embedded:
    """What is known of the images that could be read.

    Attributes:
        vectors: unit vectors ``[N, D]``, float32.
        sources: their N files.
        skipped: the files that could not be read, and why.
    """

    vectors: Tensor
    sources: list[Path]
    skipped: list[Skipped]


def find_pictures(
    options: ScoringOptions,
    paths: Sequence[str],
    *,
    sheet: str | None = None,
    leave_out: str | os.PathLike | None = None,
) -> Pictures:
    """Find the images among `paths` and in the folders among them; none is opened.

    Args:
        sheet: where a contact sheet will be written; one of an earlier run is left out.
        leave_out: a folder that is not looked into.

    Raises:
        FileError: a path does not exist, or a folder cannot be listed.
        InputError: there is no image.
    """
    passed: Counter[str] = Counter()
    files = collect(paths, recursive=options.recursive, leave_out=leave_out, passed=passed)
    return Pictures(without_sheet(files, sheet), passed)


def embedding(options: ScoringOptions, scorer: ClipScorer) -> dict[str, Any]:
    """Return `options` as `guidance.embeddings.embed.embed` takes them.

    Raises:
        FileError: the store is a file, or cannot be read.
    """
    return {
        "batch": options.batch,
        "workers": options.workers,
        "store": None if options.store is None else store_for(options.store, scorer),
        "progress": not options.quiet,
        "engine": options.engine,
        "address": options.ray_address,
    }


def load_scorer(options: ScoringOptions, clip: str | None = None) -> ClipScorer:
    """Load the models that `options` name, or those of `clip` in their place.

    Raises:
        InputError, ModelError: see `ClipScorer`.
    """
    return ClipScorer(clip or options.clip, device=options.device, precision=options.precision)


def embed_pictures(
    options: ScoringOptions, files: Sequence[Path], scorer: ClipScorer, verb: str
) -> Embedded:
    """Embed all files, those that the store of `options` knows without a look at them.

    Args:
        verb: what the command does to images, for the message that it can do so to none.

    Raises:
        FileError: no file can be read.
    """
    vectors, sources, skipped = embed_all(files, scorer, **embedding(options, scorer))
    found = Embedded(vectors, [file for file in sources if file is not None], skipped)
    check_some(len(found.sources), found.skipped, len(files), verb)
    return found


def check_some(usable: int, skipped: Sequence[Skipped], total: int, verb: str) -> None:
    """Raise `FileError` with the first reason if none of `total` files is usable."""
    if not usable:
        raise FileError(
            f"none of {counted(total, 'file')} can be {verb}; "
            f"the first: {skipped[0].source} {skipped[0].reason}"
        )
