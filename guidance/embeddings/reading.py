"""Image files, PIL images and tensors → what the models read, ``[3, S, S]``; and content keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.conventions import check_images
from guidance.embeddings.keys import content_key
from guidance.embeddings.results import Embedded
from guidance.errors import FileError, InputError
from guidance.images import ImageLike, as_tensor, load_image

# Files are shrunk by a whole factor, by the JPEG decoder where there is one, to no less than this
# many times CLIP's input before the exact resize. On photo mosaics that moved scores of the mini
# model by 0.0014 at most, and a factor of 2 here by 0.0033.
SHRINK = 3
MAX_ASPECT = 100  # resizing the shorter side of a thinner image would fill the memory


@dataclass(frozen=True)
class Item:
    """One image on its way.

    Attributes:
        index: place in the input.
        source: the file, if it is one.
        image: as it was given, until it is prepared.
        key: of the file's content, if it is to be added to a store.
        stamp: what the file looked like when the key was taken.
        pixels: ``[3, S, S]`` for each model, uint8 or float in [0, 1], once it is prepared.
        done: what became of it, once that is known.
    """

    index: int
    source: Path | None
    image: ImageLike | None = None
    key: bytes | None = None
    stamp: tuple[int, ...] | None = None
    pixels: tuple[Tensor, ...] = ()
    done: Embedded | None = None

    def finish(self, *, vector: Tensor | None = None, reason: str = "") -> Item:
        """Return the item with what became of it, and without its pixels."""
        done = Embedded(self.index, self.source, vector, reason)
        return replace(self, image=None, pixels=(), done=done)

    def outcome(self) -> Embedded:
        """Return what became of the item, which must be finished."""
        assert self.done is not None, f"image {self.index} is not finished"
        return self.done

    def found(self, vector: Tensor) -> Item:
        """Return the item with the vector that the store has of it."""
        return replace(self.finish(vector=vector), key=None)


def items(images: Tensor | Iterable[ImageLike]) -> Iterator[Item]:
    """Give single images in the order of the input, tensors as ``[1, 3, H, W]``.

    Raises:
        InputError: an image is of no known type or shape.
    """
    for index, image in enumerate(_each(images)):
        file = isinstance(image, str | os.PathLike)
        yield Item(index, Path(image) if file else None, image)


def _each(images: Iterable[ImageLike]) -> Iterator[ImageLike]:
    for image in [images] if isinstance(images, Tensor) else images:
        if not isinstance(image, Tensor):
            if not isinstance(image, str | os.PathLike | Image.Image):
                kind = type(image).__name__
                raise InputError(f"an image must be a path, PIL image or tensor but is {kind}")
            yield image
            continue
        image = image[None] if image.ndim == 3 else image
        check_images("images", image)
        yield from image.split(1)


def with_key(item: Item) -> Item:
    """Return `item` with the key of its content, if it is a file that can be read."""
    if item.source is None:
        return item
    try:
        stamp = file_stamp(item.source)
        return replace(item, key=content_key(item.source), stamp=stamp) if stamp else item
    except (OSError, ValueError):  # decoding it says what is wrong
        return item


def file_stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is written, or None for a pipe and other odd things."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class Reader:
    """Reads images and resizes them as each model of a scorer wants it; safe in threads."""

    def __init__(self, scorer: ClipScorer):
        self.preprocess = [m.preprocess for m in scorer.models]
        self.min_side = SHRINK * max(p.size for p in self.preprocess)

    @torch.no_grad()  # a setting of each thread
    def __call__(self, item: Item) -> Item:
        """Return `item` with its pixels, or with the reason why there are none."""
        if item.done is not None:
            return item
        assert item.image is not None  # it is let go only when there are pixels or an outcome
        try:
            pixels = self._pixels(item.image)
        except FileError as error:
            name = "the image" if item.source is None else str(item.image)
            return item.finish(reason=str(error).removeprefix(f"{name} "))
        short, long = sorted(pixels.shape[-2:])
        if long > MAX_ASPECT * short:
            return item.finish(reason=f"is too narrow: its sides are {short} and {long} pixels")
        resized = {p: p.resize(pixels)[0] for p in dict.fromkeys(self.preprocess)}
        if pixels.is_floating_point() and not all(r.isfinite().all() for r in resized.values()):
            return item.finish(reason="holds values that are not finite")
        same = item.source is not None and item.key and file_stamp(item.source) == item.stamp
        key = item.key if same else None
        return replace(item, image=None, key=key, pixels=tuple(resized[p] for p in self.preprocess))

    def _pixels(self, image: ImageLike) -> Tensor:
        """Return ``[1, 3, H, W]``: a tensor as it is, anything else in 8 bits."""
        if isinstance(image, Tensor):
            return as_tensor(image).detach()
        rgb = load_image(image, min_side=self.min_side)
        return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None]
