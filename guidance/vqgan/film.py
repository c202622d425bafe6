"""Style transfer over a film: video file or folder of images → frames → a painting of each.

    frame ──▶ blend with the painting of the frame before ──▶ encode ──▶ `steps` steps ──▶ painting

Files are read by `guidance.images.films`, one frame at a time and in order.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from PIL import Image
from torch import Tensor

from guidance.conventions import check_count, check_range
from guidance.errors import FileError, InputError
from guidance.images import is_image_path, load_image
from guidance.images.canvas import load_picture
from guidance.images.collect import is_hidden
from guidance.images.films import film_facts, film_frames
from guidance.objective.prompted import Evaluation, Objective
from guidance.vqgan.generator import Camera, Painting


@dataclass(frozen=True)
class Facts:
    """What is known of a film without its pictures.

    Attributes:
        frames: that are painted, after stride and limit.
        size: height and width of the source, pixels.
        fps: of the source divided by the stride; None of a folder.
    """

    frames: int
    size: tuple[int, int]
    fps: float | None


@dataclass(frozen=True)
class Source:
    """A video file or a folder of images in the order of their names, numbers by value.

    Args:
        path: of either.
        stride: take every stride-th frame.
        limit: greatest number of frames; None for all.
    """

    path: str
    stride: int = 1
    limit: int | None = None

    def check(self) -> Facts:
        """Return what there is to paint; the file is decoded once to count its frames.

        Raises:
            InputError: stride or limit are not allowed.
            FileError: it does not exist, is not a video, or has no frames.
        """
        path = Path(self.path)
        if not path.exists():
            raise FileError(f"--video-in: {self.path} does not exist")
        check_count("frame_stride", self.stride, 1)
        if self.limit is not None:
            check_count("frames", self.limit, 1)
        if path.is_dir():
            return self._folder_facts()
        if not path.is_file() or path.stat().st_size == 0:
            raise FileError(f"--video-in: {self.path} is not a file with a video in it")
        state = path.stat()
        return _film_facts(self, state.st_mtime_ns, state.st_size)

    def pictures(self) -> Iterator[Image.Image | Path]:
        """Yield the frames, of a folder their paths."""
        path = Path(self.path)
        every = _images(path) if path.is_dir() else film_frames(path)
        with contextlib.closing(every):  # ends the decoder
            yield from islice(every, 0, self.stop, self.stride)

    @property
    def stop(self) -> int | None:
        """The frame of the source after the last one that is taken, None for all of them."""
        return None if self.limit is None else (self.limit - 1) * self.stride + 1

    def _folder_facts(self) -> Facts:
        paths = list(self.pictures())
        if not paths:
            raise FileError(f"--video-in: the folder {self.path} has no images in it")
        first = load_image(paths[0])
        return Facts(len(paths), (first.height, first.width), None)


class Reader:
    """The frames of a source at the size of a painting, by their number.

    They are decoded in order; an earlier frame than the last one starts again from the first.
    """

    def __init__(self, source: Source, size: tuple[int, int]):
        self.source, self.size = source, size
        self._frames: Iterator[Image.Image | Path] | None = None
        self._number = -1
        self._picture: Tensor | None = None

    def frame(self, number: int) -> Tensor:
        """Return frame `number` ``[1, 3, H, W]`` in [0, 1], covering the size, middle kept.

        Raises:
            FileError: it cannot be read, or there are fewer frames by now.
        """
        if self._picture is not None and number == self._number:
            return self._picture
        if self._frames is None or number <= self._number:
            self._frames, self._number = self.source.pictures(), -1
        found = next(islice(self._frames, number - self._number - 1, None), None)
        if found is None:
            self._frames = None
            raise FileError(f"{self.source.path} ended before frame {number + 1}")
        self._number, self._picture = number, load_picture(found, self.size)
        return self._picture


class Film(Camera):
    """The camera of a restyled film: paints each frame for `steps` steps.

    A frame's start is ``blend · painting of the frame before + (1 - blend) · frame``, which keeps
    what was painted from flickering; much of it leaves trails behind what moves. The optimiser's
    state goes on from frame to frame.

    Args:
        reader: gives the frames.
        steps: for each frame.
        blend: 0 to 1.
    """

    def __init__(self, reader: Reader, steps: int, blend: float = 0.0):
        check_count("frame_steps", steps, 1)
        check_range("frame_blend", blend, 0, 1)
        self.reader, self.steps, self.blend = reader, steps, blend

    def before(self, painting: Painting, index: int) -> None:
        """Go on to the next frame if it is time to."""
        if index % self.steps:
            return
        start = self.reader.frame(index // self.steps)
        if index and self.blend:
            painted = painting.picture()
            start = painted.lerp(start.to(painted), 1 - self.blend)
        painting.take(start)


class LikeFilm(Objective):
    """Mean squared error to the frame that is being painted.

    Args:
        reader: gives the frames, at the size of the painting.
        steps: for each frame.
    """

    name = "likeness"

    def __init__(self, reader: Reader, steps: int):
        self.reader, self.steps = reader, steps

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Return the mean over pixels and channels."""
        target = self.reader.frame(step // self.steps)
        if image.shape[-2:] != target.shape[-2:]:
            got, want = list(image.shape[-2:]), list(target.shape[-2:])
            raise InputError(f"image must have the size of the film {want} but has {got}")
        loss = (image - target.to(image)).pow(2).mean()
        return Evaluation(loss, {self.name: loss.detach()})


@lru_cache(maxsize=8)
def _film_facts(source: Source, modified: int, size: int) -> Facts:
    """Decode a file once and count; `modified` and `size` tell a changed file."""
    try:
        found = film_facts(Path(source.path), limit=source.stop)
    except FileError as error:
        raise FileError(f"--video-in: {error}") from None
    taken = -(-found.frames // source.stride)
    return Facts(taken, found.size, found.fps / source.stride if found.fps else None)


def _images(folder: Path) -> Iterator[Path]:
    """Yield the images in a folder, ``frame2`` before ``frame10``."""

    def order(path: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    found = [p for p in folder.iterdir() if is_image_path(p) and not is_hidden(p.name)]
    yield from sorted(found, key=order)
