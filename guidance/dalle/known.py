"""A picture and what of it stays → the codes that are known before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.errors import InputError
from guidance.images.canvas import load_mask, load_picture
from guidance.models.codec import Codec

OPEN = -1  # stands for a code that is not known


@dataclass(frozen=True)
class Source:
    """Files that known codes come from.

    Attributes:
        picture: image; it is cropped to the shape of the model's pictures.
        rows: of codes at the top that stay, if no mask says what does.
        mask: image that is white where to write.
    """

    picture: str
    rows: int | None = None
    mask: str | None = None

    def codes(self, codec: Codec, grid: tuple[int, int]) -> Tensor:
        """Return the codes that stay, int64 ``[rows · columns]`` in raster order, others `OPEN`.

        A code stays if nothing of what it stands for is to be painted.

        Raises:
            FileError: a file cannot be read.
            InputError: nothing is left to write.
        """
        rows, columns = grid
        size = rows * codec.factor, columns * codec.factor
        codes = codec.encode(load_picture(self.picture, size)).cpu()[0]
        if self.mask is None:
            free = torch.arange(rows)[:, None].expand(grid) >= (self.rows or 0)
        else:
            free = F.max_pool2d(load_mask(self.mask, size), codec.factor)[0, 0] > 0
        if not free.any():
            raise InputError(f"--rows must be less than the {rows} of the model but is {self.rows}")
        return codes.masked_fill(free, OPEN).flatten()
