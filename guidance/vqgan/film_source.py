"""The film to restyle: a video or a folder of images, read one frame at a time and in order."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from PIL import Image

from guidance.conventions import check_count
from guidance.errors import FileError
from guidance.images.collect import is_hidden
from guidance.images.films import film_facts, film_frames
from guidance.images.names import is_image_path
from guidance.images.read import load_image


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


@lru_cache(maxsize=8)
def _film_facts(source: Source, modified: int, size: int) -> Facts:
    """Decode a file once and count; `modified` and `size` tell a changed file."""
    try:
        found = film_facts(Path(source.path), limit=source.stop)
    except FileError as error:
        raise FileError(f"--video-in: {error}") from None
    taken = -(-found.frames // source.stride)
    return Facts(taken, found.size, found.fps / source.stride if found.fps else None)


def _images(folder: Path) -> Generator[Path]:
    """Yield the images in a folder, ``frame2`` before ``frame10``."""

    def order(path: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    found = [p for p in folder.iterdir() if is_image_path(p) and not is_hidden(p.name)]
    yield from sorted(found, key=order)
