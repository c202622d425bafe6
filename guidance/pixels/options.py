"""The options of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from guidance.command.cli import Several, alias
from guidance.command.options import check_files
from guidance.command.tries_options import TriesOptions
from guidance.conventions import MIN_SIDE, check_range, check_size
from guidance.errors import InputError
from guidance.images.fitting import canvas_of, final_size, shape_of, tell_crop
from guidance.images.parse import parse_palette


class Defaults(NamedTuple):
    """What suits one kind of canvas."""

    lr: float
    smoothness: float


DEFAULTS = {
    "fourier": Defaults(lr=0.15, smoothness=0.0),
    "rgb": Defaults(lr=0.05, smoothness=500.0),
    "art": Defaults(lr=0.05, smoothness=50.0),
}


@dataclass(frozen=True, kw_only=True)
class PixelsOptions(TriesOptions):
    """Move the pixels of a picture towards a prompt: directly, as a spectrum, or as pixel art.

    Leaves image.png and a progress video in a folder under outputs/.
    "--from FOLDER" starts from the options of an earlier run, "--resume FOLDER" continues one.
    """

    kind: Literal["fourier", "rgb", "art"] = "fourier"
    """fourier learns the spectrum, which favours large forms (Mordvintsev et al. 2018); rgb every
    pixel by itself; art a small grid of flat squares."""
    size: Annotated[str | None, alias("-s")] = None
    """Canvas that CLIP sees, pixels: "224" or "320x224"; by default as many as 224x224, in the
    shape of --init. Art rounds it, and the render size, to whole pixels a cell."""
    render_size: int = 1024
    """Longer side of image.png, pixels."""
    grid: int = 32
    """Art: cells along the longer side."""
    palette: Several[tuple[str, ...]] = ()
    """Art: allow only these colours: "red", "#ffcc00", several with commas; may be repeated. Few
    and strong ones, among them one for the background, work best."""
    decay: float = 1.75
    """Fourier: frequencies are scaled by 1 / f ** decay; photographs have about 1, more is
    smoother."""
    decorrelate: bool = True
    """Fourier: learn brightness and two colour contrasts rather than red, green and blue."""
    init: Annotated[str | None, alias("-ii", "--init-image")] = None
    """An image to start from, cropped to --size if that is given; by default faint noise on
    grey."""

    lr: Annotated[float | None, alias("-lr", "--learning-rate")] = None
    """Learning rate; by default 0.15 for fourier, 0.05 for rgb and art."""
    smoothness: float | None = None
    """Weight of the squared difference of neighbouring pixels; by default 0 for fourier,
    500 for rgb, 50 for art."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for any value that is not allowed."""
        super().check()
        check_files(init=self.init)
        height, width = self.canvas()
        check_size("render_size", self.render_size)
        check_range("grid", self.grid, 2, max(height, width))
        check_range("decay", self.decay, 0, 4)
        check_range("lr", self.rate(), 0, 1000)
        check_range("smoothness", self.smooth(), 0)
        self.colours()
        if self.palette and self.kind != "art":
            raise InputError(f"--palette needs --kind art, but kind is {self.kind}")

    def rate(self) -> float:
        """Return the learning rate of the first step."""
        return DEFAULTS[self.kind].lr if self.lr is None else self.lr

    def smooth(self) -> float:
        """Return the weight of the smoothness."""
        return DEFAULTS[self.kind].smoothness if self.smoothness is None else self.smoothness

    def canvas(self) -> tuple[int, int]:
        """Return height and width of the canvas that CLIP sees, pixels."""
        return canvas_of(self.size, None if self.init is None else shape_of(self.init))

    def notes(self) -> list[str]:
        """Return a line about what is cut of the init image, if anything."""
        if self.init is None:
            return []
        return tell_crop("--init", self.init, shape_of(self.init), self.canvas())

    def cells(self) -> tuple[int, int]:
        """Return rows and columns of the grid of art, as square as its cells."""
        canvas = self.canvas()
        least = -(-MIN_SIDE // self.cell())
        rows, columns = (max(least, round(self.grid * side / max(canvas))) for side in canvas)
        return rows, columns

    def cell(self) -> int:
        """Return the side of a cell on the canvas that CLIP sees, whole pixels."""
        return max(1, max(self.canvas()) // self.grid)

    def final(self) -> tuple[int, int]:
        """Return height and width of ``image.png``, pixels."""
        if self.kind == "art":
            rows, columns = self.cells()
            cell = max(1, self.render_size // max(rows, columns))
            return rows * cell, columns * cell
        return final_size(self.canvas(), self.render_size)

    def colours(self) -> tuple[tuple[float, float, float], ...]:
        """Return the palette as RGB in [0, 1]; empty if every colour is allowed."""
        return parse_palette("palette", self.palette)
