"""Style transfer over a film: video file or folder of images → frames → a painting of each.

frame ──▶ blend with the painting of the frame before ──▶ encode ──▶ `steps` steps ──▶ painting
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from PIL import Image
from torch import Tensor

from guidance.conventions import check_count, check_range
from guidance.errors import FileError, InputError
from guidance.images.canvas import load_picture
from guidance.objective.prompted import Evaluation, Objective
from guidance.vqgan.camera import Camera, Filmed
from guidance.vqgan.film_source import Source


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

    def before(self, painting: Filmed, index: int) -> None:
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
