"""Picture to start from, mask and margins → what is known of the canvas and what is painted.

The known part is noised anew for every step and laid under what the network has made (RePaint,
Lugmayr et al. 2022, arXiv:2201.09865, section 4.1); in the end it is pasted, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.diffusion.frame import Source
from guidance.images.canvas import load_mask, load_picture, soften


@dataclass(frozen=True)
class Edit:
    """A picture on the canvas and the part of it that is painted.

    Attributes:
        picture: ``[1, 3, H, W]`` in [0, 1]; beyond its border it goes on in the border's colours.
        mask: ``[1, 1, H, W]`` in [0, 1], above 0 where to paint, with a ramp from what is known;
            None if all of it is.
    """

    picture: Tensor
    mask: Tensor | None

    def paste(self, images: Tensor) -> Tensor:
        """Return `images` ``[B, 3, H, W]`` with the known part of the picture, bit for bit."""
        if self.mask is None:
            return images
        blend = self.mask * images + (1 - self.mask) * self.picture
        return torch.where(self.mask > 0, blend, self.picture)

    def cells(self, factor: int) -> Tensor:
        """Return the cells of `factor` pixels of which any is painted, bool ``[1, 1, h, w]``."""
        mask = torch.ones_like(self.picture[:, :1]) if self.mask is None else self.mask
        return F.max_pool2d(mask, factor) > 0

    def to(self, device: torch.device | str) -> Edit:
        """Return the edit on `device`."""
        return Edit(self.picture.to(device), None if self.mask is None else self.mask.to(device))


@dataclass(frozen=True)
class Start:
    """What a run starts from: pure noise, or a picture.

    Attributes:
        edit: the picture and its mask; None for pure noise.
        pure: begin with pure noise in any case; the edit is what is known of the canvas.
        enlarge: the edit on a canvas so many times as large, for a network's upsampler; None to do
            without that.
    """

    edit: Edit | None = None
    pure: bool = False
    enlarge: Callable[[int], Edit | None] | None = None


def load_edit(source: Source, size: tuple[int, int], *, factor: int = 1, feather: int = 0) -> Edit:
    """Read the files for a canvas of `size` (height, width), margins included.

    Args:
        factor: the margins count so many pixels of this canvas.
        feather: pixels of the ramp inside the painted part.

    Raises:
        FileError: a file cannot be read.
        InputError: nothing in the mask is white.
    """
    margins = source.margins.times(factor)
    height, width = margins.around((0, 0))
    inner = size[0] - height, size[1] - width
    picture = load_picture(source.init, inner)
    if not any(margins):
        mask = None if source.mask is None else load_mask(source.mask, size, feather=feather)
        return Edit(picture, mask)
    sides = (margins.left, margins.right, margins.top, margins.bottom)
    mask = F.pad(torch.zeros(1, 1, *inner), sides, value=1.0)
    return Edit(F.pad(picture, sides, mode="replicate"), soften(mask, feather))
