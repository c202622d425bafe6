"""The options of CLIPDraw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from guidance.command.cli import Several, alias
from guidance.command.options import check_files
from guidance.command.tries_options import TriesOptions
from guidance.conventions import check_range, check_size
from guidance.errors import InputError
from guidance.images.fitting import Size, canvas_of, cropped, final_size, shape_of, tell_crop
from guidance.images.parse import parse_colour, parse_palette
from guidance.prompts.grammar import parse_prompts
from guidance.vector.svg.size import shape_of_svg

# CLIPDraw's notebook pushes away from these two with a factor of 0.3 each
CLIPDRAW_NEGATIVES = ("A badly drawn sketch.:0.3", "Many ugly, messy drawings.:0.3")
MAX_STROKES = 100_000


@dataclass(frozen=True, kw_only=True)
class ClipDrawOptions(TriesOptions):
    """Draw a prompt with Bézier strokes (CLIPDraw, Frans et al. 2021, arXiv:2106.14843).

    Leaves image.png, drawing.svg and a progress video in a folder under outputs/.
    "--from FOLDER" starts from the options of an earlier run, "--resume FOLDER" continues one.
    """

    # as manifests before 0.2.0 have it
    EARLIER: ClassVar[dict[str, str]] = {"color_lr": "colour_lr"}

    strokes: Annotated[int, alias("--num-paths")] = 256
    """Number of strokes or shapes."""
    segments: tuple[int, int] = (1, 3)
    """Fewest and most cubic segments of a stroke."""
    closed: bool = False
    """Draw closed filled shapes instead of strokes."""
    width: tuple[float, float] = (1.0, 50.0)
    """Least and greatest stroke width, pixels on a 224 pixel canvas."""
    opacity: tuple[float, float] = (0.0, 1.0)
    """Least and greatest opacity of the first strokes. Faint ones ("0 0.15") stay faint where
    nothing calls for them, which leaves paper around the subject."""
    black: bool = False
    """Ink only: opaque black strokes."""
    palette: Several[tuple[str, ...]] = ()
    """Allow only these colours: "red", "#ffcc00", several with commas; may be repeated."""
    background: str = "white"
    """Paper colour: a name or #rrggbb."""
    init: Annotated[str | None, alias("-ii", "--init-image", "--path-svg")] = None
    """An SVG to continue from, or an image whose colours the first strokes take."""
    clipdraw_negatives: bool = False
    """Add CLIPDraw's two default negative prompts, weight -0.3 each."""

    size: Annotated[str | None, alias("-s")] = None
    """Canvas that CLIP sees, pixels: "224" or "320x224"; by default as many as 224x224, in the
    shape of --init."""
    render_size: int = 1024
    """Longer side of image.png and drawing.svg, pixels."""

    points_lr: float = 1.0
    """Learning rate of the points, pixels on a 224 pixel canvas."""
    width_lr: float = 0.1
    """Learning rate of the widths, pixels on a 224 pixel canvas."""
    colour_lr: Annotated[float, alias("--color-lr")] = 0.03
    """Learning rate of the colours, which run from 0 to 1. CLIPDraw's notebook has 0.01 and four
    times as many steps."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for any value that is not allowed."""
        super().check()
        check_range("strokes", self.strokes, 1, MAX_STROKES)
        check_range("segments", self.segments[0], 1, 64)
        check_range("segments", self.segments[1], self.segments[0], 64)
        check_range("width", self.width[0], 0)
        check_range("width", self.width[1], self.width[0], 224)
        check_range("opacity", self.opacity[0], 0, 1)
        check_range("opacity", self.opacity[1], self.opacity[0], 1)
        for name in ("points_lr", "width_lr", "colour_lr"):
            check_range(name, getattr(self, name), 0, 1000)
        check_files(init=self.init)
        self.canvas()
        check_size("render_size", self.render_size)
        parse_colour("background", self.background)
        self.colours()
        if self.black and self.palette:
            raise InputError("--black and --palette contradict each other; give one of them")
        if self.black and self.closed:
            raise InputError("--black draws ink strokes and cannot be combined with --closed")

    def prompts(self) -> tuple:
        """Return the parsed prompts, with CLIPDraw's negatives if asked for."""
        extra = parse_prompts((), negative=CLIPDRAW_NEGATIVES) if self.clipdraw_negatives else ()
        return super().prompts() + extra

    def canvas(self) -> tuple[int, int]:
        """Return height and width of the canvas CLIP sees, pixels."""
        return canvas_of(self.size, self._shape())

    def notes(self) -> list[str]:
        """Return a line about what is cut of the init image, if anything."""
        shape, canvas = self._shape(), self.canvas()
        if self.init is None or shape is None or cropped(shape, canvas) == shape:
            return []
        if self.init_is_svg():
            return [f"--init: {self.init} has another shape than --size and is stretched to it"]
        return tell_crop("--init", self.init, shape, canvas)

    def _shape(self) -> Size | None:
        """Return height and width of the image or drawing that it starts from."""
        if self.init is None:
            return None
        return shape_of(self.init, shape_of_svg) if self.init_is_svg() else shape_of(self.init)

    def final(self) -> tuple[int, int]:
        """Return height and width of ``image.png``, pixels."""
        return final_size(self.canvas(), self.render_size)

    def colours(self) -> tuple[tuple[float, float, float], ...]:
        """Return the palette as RGB in [0, 1]; empty if every colour is allowed."""
        return parse_palette("palette", self.palette)

    def init_is_svg(self) -> bool:
        """Return whether `init` is a drawing rather than an image."""
        return self.init is not None and Path(self.init).suffix.lower() in (".svg", ".svgz")
