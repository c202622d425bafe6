"""The frames of a run's progress video, and frames → video."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from guidance.errors import FileError
from guidance.files.writing import atomic, is_regular, remove_leftovers, remove_whole
from guidance.images import load_image, to_pil

FRAME = re.compile(r"(\d{6,9})\.jpg")


class Frames:
    """A folder that keeps pictures of a run until they are put together: to a video, or a sheet.

    Args:
        path: made with the first frame.
    """

    def __init__(self, path: Path):
        self._path = path

    def check(self) -> None:
        """Raise `FileError` if there is something else at the place of the folder.

        A link would let a run delete and write in a folder that is not its own.
        """
        if self._path.is_symlink() or (self._path.exists() and not self._path.is_dir()):
            raise FileError(
                f"{self._path} is not a folder of this run but a link or a file; remove it"
            )

    def add(self, image: Tensor, index: int) -> None:
        """Keep ``[1, 3, H, W]`` as the frame of step `index`."""
        self._path.mkdir(exist_ok=True)
        with atomic(self._path / f"{index:06d}.jpg") as temporary:
            to_pil(image).save(temporary, quality=95, subsampling=0)

    def pictures(self) -> list[tuple[int, Image.Image]]:
        """Return what there is, each with its index."""
        return [(index, load_image(path)) for index, path in self._files()]

    def cut(self, done: int) -> None:
        """Remove the frames from step `done` on, and what a killed process left half-written."""
        if self._path.is_dir():
            remove_leftovers(self._path)
        for index, frame in self._files():
            if index >= done:
                frame.unlink(missing_ok=True)

    def save(self, path: Path, fps: float) -> None:
        """Make the video; without frames leave what there is."""
        if frames := [frame for _, frame in self._files()]:
            save_video(path, frames, fps)

    def remove(self) -> None:
        """Remove all frames: at once, so that no video is ever made of a part of them."""
        remove_whole(self._path)

    def _files(self) -> list[tuple[int, Path]]:
        if not self._path.is_dir():
            return []
        found = [(FRAME.fullmatch(p.name), p) for p in self._path.iterdir()]
        return sorted((int(match[1]), path) for match, path in found if match and is_regular(path))


def save_video(path: str | os.PathLike, frames: Sequence[Path], fps: float) -> None:
    """Encode image files as MP4 (H.264, plays everywhere) or GIF, by the suffix of `path`.

    All frames take the size of the first one; H.264 needs even sides, so an odd one loses a pixel.
    A frame that cannot be read is left out with a warning.

    Raises:
        FileError: no frame can be read, or the video not be written.
    """
    import imageio

    pictures = _pictures(frames)
    first = next(pictures, None)
    if first is None:
        raise FileError(f"cannot make {path}: none of its {len(frames)} frames is a picture")
    box = (0, 0, first.width - first.width % 2, first.height - first.height % 2)
    if Path(path).suffix == ".gif":
        options = {"format": "GIF", "duration": 1000 / fps, "loop": 0}
    else:
        options = {
            "format": "FFMPEG",
            "fps": fps,
            "codec": "libx264",
            "quality": 8,
            "macro_block_size": 2,
            "pixelformat": "yuv420p",
            "output_params": ["-movflags", "+faststart"],
            "ffmpeg_log_level": "error",
        }
    with atomic(path) as temporary, imageio.get_writer(temporary, **options) as writer:
        for picture in chain([first], pictures):
            writer.append_data(np.asarray(picture.crop(box)))


def _pictures(frames: Sequence[Path]) -> Iterator[Image.Image]:
    for frame in frames:
        try:
            yield load_image(frame)
        except FileError as error:
            warnings.warn(f"left out of the video: {error}", stacklevel=2)
