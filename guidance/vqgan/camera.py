"""Zoom video: the painting is enlarged, shifted and turned a little every few steps.

    picture ──▶ one camera move ──▶ encode ──▶ `every` steps of painting ──▶ picture ──▶ …

The video is seamless because the camera never changes its speed. Its frames are shown at even
steps of the camera: `smooth` of them for each move, of which all but one see the painting through
a fraction of the move (the n-th root, taken as often as needed), so that the last fraction and the
move itself meet. Each move goes through the encoder once and costs fine detail, which the steps
until the next one paint anew; rarer and larger moves lose less, frames in between keep them smooth.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from guidance.conventions import check_count, check_range

if TYPE_CHECKING:
    from torch import Tensor


class Filmed(Protocol):
    """What a camera needs of a painting."""

    def picture(self) -> Tensor:
        """Return the picture as it is now, ``[1, 3, H, W]`` in [0, 1]."""

    def take(self, image: Tensor) -> None:
        """Go on from another picture."""


class Camera:
    """Moves what is painted between steps, e.g. zooms into it; this one stands still."""

    def before(self, painting: Filmed, index: int) -> None:
        """Change `painting` before step `index`; depends on both only, so that resume is exact."""

    def view(self, image: Tensor) -> Tensor:
        """Return how the picture ``[1, 3, H, W]`` is seen after the current step."""
        return image


@dataclass(frozen=True)
class Move:
    """A camera move: scale and turn about the middle of the picture, then shift.

    Attributes:
        scale: of the picture's size: above 1 zooms in, below 1 zooms out.
        shift: of the picture to the right and down, fractions of its longer side.
        angle: of the picture, degrees clockwise.
    """

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0

    def power(self, exponent: float) -> tuple[complex, complex]:
        """Return ``(a, b)``: the move taken `exponent` times sends a point z to ``a·z + b``.

        Points are complex numbers from the middle, x right and y down, in longer sides. Fractions
        of the move compose: the powers 0.3 and 0.7, one after the other, are the move.
        """
        turn, shift = math.radians(self.angle), complex(*self.shift)
        once = cmath.rect(self.scale, turn)
        a = cmath.rect(self.scale**exponent, turn * exponent)
        # the sum 1 + once + once² + … of the shifts, as a geometric series
        b = shift * (exponent if abs(once - 1) < 1e-9 else (a - 1) / (once - 1))
        return a, b

    def __call__(self, image: Tensor, exponent: float = 1.0) -> Tensor:
        """Return `image` ``[B, 3, H, W]`` in [0, 1] moved `exponent` times, by cubic interpolation.

        What comes in over the border is a reflection.
        """
        from guidance.vqgan.moving import moved  # it needs torch, which the options do not

        return moved(image, *self.power(exponent))


class Zoom(Camera):
    """The camera of a zoom video.

    The first move comes `every` steps after `start`, and from there one every `every` steps. See
    the module for the frames between them. The last step of a run is seen as it is painted.

    Args:
        move: made at a time.
        start: steps to paint before the camera starts.
        every: steps between moves.
        smooth: frames of the video for each move, at most `every`.
        steps: of the whole run.
    """

    def __init__(self, move: Move, *, start: int = 0, every: int = 10, smooth: int = 1, steps: int):
        check_range("scale", move.scale, 0, 100, above=True)
        check_count("every", every, 1)
        check_count("smooth", smooth, 1, every)
        check_count("start", start, 0)
        self.move, self.start, self.every, self.smooth = move, start, every, smooth
        self.steps = steps
        self._index: int | None = None  # the step that is being made in this process

    def due(self, index: int) -> bool:
        """Return whether the picture is moved before step `index`."""
        return index > self.start and (index - self.start) % self.every == 0

    def shows(self, index: int) -> bool:
        """Return whether the video has a frame after step `index`."""
        if index == self.steps - 1 and self.fraction(index):
            return False  # it is seen as painted, out of the camera's pace
        place = (index - self.start) % self.every
        # the last step of a frame's share, which has recovered most from the encoder
        return place + 1 == self.every or self._frame(place) != self._frame(place + 1)

    def fraction(self, index: int) -> float:
        """Return the power of the move through which the picture is seen after step `index`.

        Zooming in it is at least 0 and below 1, going before the next move. Zooming out it is above
        -1 and at most 0, coming after the last move, so that it never makes the picture smaller
        than the frame.
        """
        ahead = self.move.scale >= 1
        if index < (self.start if ahead else self.start + self.every):
            return 0.0
        frame = self._frame((index - self.start) % self.every)
        return (frame if ahead else frame + 1 - self.smooth) / self.smooth

    def before(self, painting: Filmed, index: int) -> None:
        """Move the picture if it is time to."""
        self._index = index
        if self.due(index):
            painting.take(self.move(painting.picture()))

    def view(self, image: Tensor) -> Tensor:
        """Return the frame of the picture ``[1, 3, H, W]`` after the current step."""
        if self._index is None or self._index == self.steps - 1:
            return image
        return self.move(image, self.fraction(self._index))

    def _frame(self, place: int) -> int:
        """Return the number of the frame at a place between two moves, 0 … smooth - 1."""
        return place * self.smooth // self.every
