"""The options of ``python -m guidance.look matrix``, ``heat``, ``write`` and ``video``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from guidance.command.cli import Several, alias
from guidance.command.scoring import ScoringOptions
from guidance.errors import InputError
from guidance.prompts.characters import emptiness

Paths = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATH...")]
MAX_TEXTS = 40  # more cannot be told apart in one picture


def check_texts(texts: Iterable[str]) -> None:
    """Raise `InputError` if there is nothing to see in one."""
    for empty in filter(None, (emptiness(text, "a text") for text in texts)):
        raise InputError(empty)


@dataclass(frozen=True, kw_only=True)
class LookOptions(ScoringOptions):
    """Which pictures and which texts are looked at."""

    inputs: Paths = ()
    """Images and folders of images. They come before --texts, or after "--"."""
    texts: Annotated[Several[tuple[str, ...]], alias("--text", "-t")] = ()
    """Texts to compare with: --texts "a cat" "a dog"."""
    texts_file: str | None = None
    """File with a text on each line; lines that begin with # are comments."""

    def all_texts(self) -> list[str]:
        """Return the texts, each once.

        Raises:
            InputError: none, an empty one, or more than a picture can show.
            FileError: the file of texts cannot be read.
        """
        given = list(self.texts)
        check_texts(given)
        if self.texts_file is not None:
            from guidance.images.collect import read_prompts  # takes torch along, and so seconds

            given += read_prompts(self.texts_file)
        texts = list(dict.fromkeys(text.strip() for text in given))
        if not texts:
            raise InputError('texts are needed: --texts "a cat" "a dog"')
        check_texts(texts)
        if len(texts) > MAX_TEXTS:
            raise InputError(f"texts must be at most {MAX_TEXTS} but are {len(texts)}")
        return texts


@dataclass(frozen=True, kw_only=True)
class MatrixOptions(LookOptions):
    """Draw how well each text fits each image, as a matrix with thumbnails."""

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


@dataclass(frozen=True, kw_only=True)
class WriteOptions(LookOptions):
    """Write a word on an image and show what CLIP thinks before and after.

    Models that can read are easily fooled: an apple with the word iPod on it is an iPod. With
    the direction of written text taken out of the embedding they read less.
    """

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


@dataclass(frozen=True, kw_only=True)
class VideoOptions(LookOptions):
    """Draw how well each text fits a video over its time."""

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
