"""The options of editing: a picture to start from, a mask, and a larger canvas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from guidance.command.cli import alias
from guidance.command.options import GuidedOptions, check_files
from guidance.conventions import check_range, check_size
from guidance.diffusion.frame import Frame, Margins, Source, parse_margins
from guidance.errors import InputError
from guidance.images.fitting import check_mask, check_multiple, fit_size, shape_of, tell_crop
from guidance.images.masks import read_mask
from guidance.images.parse import parse_canvas
from guidance.models.pipeline_config import Shape

STRENGTH = 0.7  # of a run that starts from a picture, all of which may change


@dataclass(frozen=True, kw_only=True)
class EditOptions(GuidedOptions):
    """Options of what pictures a run makes, and of one that it starts from."""

    model: Annotated[str, alias("--diffusion-model")] = "mini"
    """Diffusion model: "mini"; a folder or repository of diffusers ("owner/name": Stable Diffusion
    1, 2 and XL, latent diffusion, DDPM); or a file of OpenAI's guided-diffusion."""
    size: Annotated[str | None, alias("-s")] = None
    """Size of the pictures, pixels: "512" or "640x512" (width x height); by default what the model
    was trained with, in the shape of --init."""

    init: Annotated[str | None, alias("-ii", "--init-image")] = None
    """Image to start from. The picture has its shape, or else --size, which it is cropped to."""
    strength: float | None = None
    """How much noise the image gets, and so how much of it changes: 1 starts from pure noise. By
    default 0.7, or 1 with a mask or a larger canvas."""
    mask: str | None = None
    """Image of the init image's shape that is white where to paint, or a brush on a transparent
    layer, or a photo with a hole there; elsewhere the init image stays, pixel for pixel."""
    outpaint: str | None = None
    """Pixels by which the canvas is larger than the init image, which is --size or as large as the
    model's pictures: "LEFT,TOP,RIGHT,BOTTOM" or one number. What is added is painted."""

    def check_edit(self) -> None:
        """Raise `InputError` for a value that is not allowed; before the steps are counted."""
        check_files(init=self.init, mask=self.mask)
        if self.strength is not None:
            check_range("strength", self.strength, 0, 1, above=True)
        for name in ("strength", "mask", "outpaint"):
            if getattr(self, name) is not None and self.init is None:
                raise InputError(f"--{name} needs --init IMAGE to start from")
        if self.mask is not None and self.outpaint is not None:
            raise InputError("--mask and --outpaint contradict each other; give one of them")
        if self.mask is not None:
            read_mask(self.mask)
        self.margins()

    def share(self) -> float:
        """Return the share of the noise levels that the run goes through."""
        if self.init is None:
            return 1.0
        if self.strength is not None:
            return self.strength
        return STRENGTH if self.mask is None and self.outpaint is None else 1.0

    def margins(self) -> Margins:
        """Return what is added around the init image."""
        return Margins() if self.outpaint is None else parse_margins("outpaint", self.outpaint)

    def frame(self, shape: Shape) -> Frame:
        """Return where the init image lies in the pictures of a model of this `shape`.

        Without one they are as large as --size, or as the model was trained with.

        Raises:
            FileError: the init image cannot be read.
        """
        margins, inner = self.margins(), shape.size
        if self.size is not None:
            inner = parse_canvas("size", self.size)
        elif self.init is not None:
            pixels = math.prod(shape.size)
            inner = fit_size(shape_of(self.init), pixels, shape.factor, margins.around((0, 0)))
        return Frame(inner, margins.grown(inner, shape.factor))

    def accept(self, shape: Shape) -> None:
        """Raise `InputError` for sizes that a model of this `shape` cannot make."""
        frame = self.frame(shape)
        if any(side % shape.factor for side in frame.size):
            check_multiple(self.model, shape.factor, frame.inner)
        for side in frame.size:
            check_size("size", side)
        if self.mask is not None and self.init is not None:  # without init there is no edit
            check_mask(self.mask, self.init, frame.inner)

    def notes(self, frame: Frame) -> list[str]:
        """Return lines about what differs from what the options say."""
        lines: list[str] = []
        if self.init is not None:
            lines += tell_crop("--init", self.init, shape_of(self.init), frame.inner)
        if frame.margins != self.margins():
            height, width = frame.size
            lines.append(
                f"--outpaint: {frame.margins} rather than {self.margins()}, for a picture of "
                f"{width}x{height}"
            )
        return lines

    def source(self, frame: Frame) -> Source | None:
        """Return the files of the edit, None without an init image."""
        return None if self.init is None else Source(self.init, self.mask, frame.margins)
