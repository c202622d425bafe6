"""The options of editing: a picture to start from, a mask, and a larger canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from guidance.cli import alias
from guidance.conventions import check_range
from guidance.diffusion.edit import Margins, Source, parse_margins
from guidance.errors import InputError
from guidance.options import GuidedOptions, check_files

STRENGTH = 0.7  # of a run that starts from a picture, all of which may change


@dataclass(frozen=True, kw_only=True)
class EditOptions(GuidedOptions):
    """Options of a run that starts from a picture."""

    init: Annotated[str | None, alias("-ii", "--init-image")] = None
    """Image to start from; cropped about its middle to the shape of the picture."""
    strength: float | None = None
    """How much noise the image gets, and so how much of it changes: 1 starts from pure noise. By
    default 0.7, or 1 with a mask or a larger canvas."""
    mask: str | None = None
    """Image that is white where to paint; elsewhere the init image stays, pixel for pixel."""
    outpaint: str | None = None
    """Pixels by which the canvas is larger than the init image, "LEFT,TOP,RIGHT,BOTTOM" or one
    number; what is added is painted."""

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

    def source(self) -> Source | None:
        """Return the files of the edit, None without an init image."""
        return None if self.init is None else Source(self.init, self.mask, self.margins())
