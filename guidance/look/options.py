"""The options of ``python -m guidance.look matrix``, ``heat``, ``write`` and ``video``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import tyro

from guidance.clip.names import may_judge_alone, parse_specs
from guidance.command.cli import Several, alias
from guidance.command.scoring import ScoringOptions
from guidance.conventions import check_count, check_range
from guidance.errors import InputError
from guidance.files.text import read_prompts
from guidance.prompts.characters import emptiness

Paths = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATH...")]
MOST_DIRECTIONS = 32  # as many words as the direction of text is learnt from
MAX_TEXTS = 40  # more cannot be told apart in one picture


def check_texts(texts: Iterable[str]) -> None:
    """Raise `InputError` if there is nothing to see in one."""
    for empty in filter(None, (emptiness(text, "a text") for text in texts)):
        raise InputError(empty)


@dataclass(frozen=True, kw_only=True)
class LookOptions(ScoringOptions):
    """Which pictures and which texts are looked at."""

    KIND: ClassVar[str]
    MOST: ClassVar[int]  # pictures that one sheet can show
    DRAWN: ClassVar[tuple[str, ...]] = ()  # outputs that may be SVG

    inputs: Paths = ()
    """Images and folders of images. They come before --texts, or after "--"."""
    texts: Annotated[Several[tuple[str, ...]], alias("--text", "-t")] = ()
    """Texts to compare with: --texts "a cat" "a dog"."""
    texts_file: str | None = None
    """File with a text on each line; lines that begin with # are comments."""

    @cached_property  # the file may be a pipe, which can be read but once
    def all_texts(self) -> list[str]:
        """The texts, each once.

        Raises:
            InputError: none, an empty one, or more than a picture can show.
            FileError: the file of texts cannot be read.
        """
        given = list(self.texts)
        check_texts(given)
        if self.texts_file is not None:
            given += read_prompts(self.texts_file)
        texts = list(dict.fromkeys(text.strip() for text in given))
        if not texts:
            raise InputError('texts are needed: --texts "a cat" "a dog"')
        check_texts(texts)
        if len(texts) > MAX_TEXTS:
            raise InputError(f"texts must be at most {MAX_TEXTS} but are {len(texts)}")
        return texts

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is missing or out of range; load nothing."""
        if self.all_texts and not self.inputs:
            raise InputError(
                f"images or folders are needed, as in: look {self.KIND} PATH... --texts ..."
            )
        check_count("batch", self.batch, 1, 65536)
        parse_specs(self.clip)


@dataclass(frozen=True, kw_only=True)
class MatrixOptions(LookOptions):
    """Draw how well each text fits each image, as a matrix with thumbnails."""

    KIND: ClassVar[str] = "matrix"
    MOST: ClassVar[int] = 60

    values: Literal["cosine", "probability", "late"] = "cosine"
    """cosine of the embeddings; probability over the texts, for each image (of each text by itself
    with models trained with a sigmoid); late: patches and words compared one by one (FILIP), for
    towers that give patches."""
    softmax: bool = False
    """Probabilities compare the texts with each other with a model trained with a sigmoid too."""
    words: Literal["end", "all"] = "end"
    """With --values late: "end" takes one embedding a text, "all" one for each of its words, which
    suits models that were trained so."""
    sheet: Annotated[str, alias("--out", "-o")] = "matrix.png"
    """Where the picture goes (.png, .jpg or .webp)."""
    csv: str | None = None
    """The matrix as a table, a row for each image."""


@dataclass(frozen=True, kw_only=True)
class HeatOptions(LookOptions):
    """Draw WHERE each text fits an image, as heat over the picture."""

    KIND: ClassVar[str] = "heat"
    MOST: ClassVar[int] = 24

    method: Literal["auto", "patches", "gradcam", "gradient", "windows"] = "auto"
    """patches: cosine of each patch; gradcam: what raises the score in the last features; gradient:
    what raises it in the pixels; windows: cosine of overlapping cut-outs. auto takes patches where
    the tower gives them, else windows. gradient and windows work with any model."""
    against: Several[tuple[str, ...]] = ()
    """Text that does not count: heat is only where the others fit better; may be repeated."""
    zoom: int = 1
    """Look closer as well, with cut-outs up to this many times smaller: small things show."""
    strength: float = 0.75
    """How far heat covers the picture, from 0 to 1."""
    sheet: Annotated[str, alias("--out", "-o")] = "heat.png"
    """Where the picture goes (.png, .jpg or .webp): a row for each image."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is missing or out of range."""
        check_count("zoom", self.zoom, 1, 16)
        check_range("strength", self.strength, 0, 1)
        super().check()


@dataclass(frozen=True, kw_only=True)
class WriteOptions(LookOptions):
    """Write a word on an image and show what CLIP thinks before and after.

    Models that can read are easily fooled: an apple with the word iPod on it is an iPod. With
    the direction of written text taken out of the embedding they read less.
    """

    KIND: ClassVar[str] = "write"
    MOST: ClassVar[int] = 24
    TOO_FEW: ClassVar[str] = (
        "texts must be two or more: a probability says which of several fits best, except with "
        "models trained with a sigmoid (SigLIP)"
    )

    write: str = ""
    """The word to write."""
    height: float = 0.2
    """Height of the letters, as a part of the image's."""
    place: Literal["top", "centre", "bottom"] = "bottom"
    """Where the word goes."""
    plain: Several[tuple[str, ...]] = ()
    """Images without text, or folders of such, to learn the direction of text from; may be
    repeated. Without, it is learnt on soft clouds of colour."""
    softmax: bool = False
    """Compare the texts with each other with a model trained with a sigmoid (SigLIP) too."""
    directions: int = 1
    """How many directions of text are taken out; 0 shows the attack alone."""
    seed: int = 0
    """Of the clouds and of the words on them."""
    sheet: Annotated[str, alias("--out", "-o")] = "write.png"
    """Where the picture goes (.png, .jpg or .webp)."""
    json: str | None = None
    """All probabilities."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is missing or out of range."""
        check_count("directions", self.directions, 0, MOST_DIRECTIONS)
        if not self.write.strip():
            raise InputError("a word is needed, as in: look write PATH... --write iPod --texts ...")
        super().check()
        if len(self.all_texts) < 2 and (self.softmax or not may_judge_alone(self.clip)):
            raise InputError(self.TOO_FEW)


@dataclass(frozen=True, kw_only=True)
class VideoOptions(LookOptions):
    """Draw how well each text fits a video over its time."""

    KIND: ClassVar[str] = "video"
    MOST: ClassVar[int] = 1
    DRAWN: ClassVar[tuple[str, ...]] = ("sheet",)

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="VIDEO")] = ()
    """A video (.mp4, .mov, .webm, ...) or an animation (.gif, .webp, .png)."""
    fps: float = 4.0
    """Frames that are looked at for each second."""
    temperature: float = 0.05
    """Of the pooling over frames: lower counts the best moments only, higher tends to the mean."""
    sheet: Annotated[str, alias("--out", "-o")] = "video.png"
    """Where the curves go (.png, .svg, .jpg or .webp)."""
    csv: str | None = None
    """All cosines, a row for each frame."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` unless there are texts and one video."""
        check_range("fps", self.fps, 0, 1000, above=True)
        check_range("temperature", self.temperature, 0, above=True)
        if len(self.inputs) != 1:
            raise InputError(f"one video is needed but {len(self.inputs)} are given")
        super().check()
