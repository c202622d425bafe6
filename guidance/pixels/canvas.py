"""Parameters → image: three ways to write a picture down so that a gradient can move it.

The numbers that are learned decide what a picture tends to look like: a step changes single dots
(`Rgb`), waves that span the whole picture (`Fourier`) or large flat squares (`Art`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.images.resize import resize
from guidance.objective.regularisers import nearest_colours

# Brightness, red-blue and green-magenta, the axes along which the colours of photographs are about
# uncorrelated (Ohta et al. 1980, "Color information for region segmentation"), as unit rows times
# their spread; the first is 1.
AXES = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]])
SPREAD = torch.tensor([1.0, 0.4, 0.2])

EDGE = 0.02  # a start image is kept this far from 0 and 1, where the logit is infinite


class Canvas(nn.Module):
    """Base of the parameterisations: `forward` gives the image, `take` writes one down.

    Attributes:
        values: what is learned.
    """

    values: nn.Parameter

    def forward(self) -> Tensor:
        """Return the image ``[1, 3, H, W]`` in [0, 1], with gradient."""
        raise NotImplementedError

    def take(self, image: Tensor) -> None:
        """Become as like `image` ``[1, 3, H, W]``, of any size, as this canvas can."""
        raise NotImplementedError

    def prepare(self, progress: float) -> None:
        """Get ready for a step, after this fraction of the run."""

    def project(self) -> None:
        """Put the values back into their valid range."""


class Rgb(Canvas):
    """A free colour for every pixel.

    Args:
        size: height and width, pixels.
        noise: spread of the first colours around grey.
    """

    def __init__(self, size: tuple[int, int], *, noise: float, generator: torch.Generator):
        super().__init__()
        self.values = nn.Parameter(0.5 + noise * torch.randn(1, 3, *size, generator=generator))
        self.project()

    def forward(self) -> Tensor:
        """Return the colours."""
        return self.values

    @torch.no_grad()
    def take(self, image: Tensor) -> None:
        """Take the colours of `image`, averaged where it is larger."""
        self.values.copy_(
            resize(image, (self.values.shape[-2], self.values.shape[-1]), mode="bilinear")
        )

    @torch.no_grad()
    def project(self) -> None:
        """Keep the colours in [0, 1]."""
        self.values.clamp_(0, 1)


class Art(Rgb):
    """Pixel art: a small grid of colours, each shown as a square of whole pixels.

    With a palette the colours are free for the first half of a run, while forms are found. Then
    each gives way, by and by, to the allowed colour nearest to it, wholly in the last tenth; the
    gradient still moves the free colour. What is saved has colours of the palette alone.

    Args:
        grid: rows and columns.
        cell: side of a square, pixels.
        palette: ``[P, 3]`` the only colours allowed, RGB in [0, 1], or None for any.
        noise: spread of the first colours around grey.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        cell: int,
        *,
        palette: Tensor | None = None,
        noise: float,
        generator: torch.Generator,
    ):
        super().__init__(grid, noise=noise, generator=generator)
        self.cell = cell
        self.register_buffer("palette", palette, persistent=False)
        self.purity = 0.0  # how far the free colours have given way

    def prepare(self, progress: float) -> None:
        """Set how far the free colours give way to those of the palette."""
        self.purity = min(1.0, max(0.0, 2.5 * progress - 1.25))

    def forward(self) -> Tensor:
        """Return the grid, every cell a square."""
        cells = self.values + self.purity * (self.final() - self.values).detach()
        return cells.repeat_interleave(self.cell, -1).repeat_interleave(self.cell, -2)

    @torch.no_grad()
    def final(self) -> Tensor:
        """Return the colours as they are saved, ``[1, 3, rows, columns]``."""
        if self.palette is None:
            return self.values.clone()
        return nearest_colours(self.values, self.palette)


class Fourier(Canvas):
    """The spectrum of the picture, each frequency f scaled by ``1 / f ** decay``.

    Mordvintsev et al. 2018, "Differentiable Image Parameterizations" (Distill). Photographs have
    such spectra, so equal steps in all values change large forms before grain; in the pixels,
    where every step is grain, the same gradient gives noise.

    Args:
        size: height and width, pixels.
        decay: 1 as in photographs; more is smoother.
        noise: spread of the first values.
        decorrelate: learn brightness and two colour contrasts rather than red, green and blue.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        decay: float = 1.0,
        noise: float,
        decorrelate: bool = True,
        generator: torch.Generator,
    ):
        super().__init__()
        self.size = height, width = size
        rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
        frequency = (rows.square() + columns.square()).sqrt()
        lowest = 1 / max(size)  # the mean colour, of frequency 0, counts as the longest wave
        scale = (lowest / frequency.clamp(min=lowest)) ** decay
        # with it random values give an image of spread 1, whatever its size
        scale = scale / scale.square().mean().sqrt()
        axes = F.normalize(AXES, dim=1) * SPREAD[:, None] * 3**0.5 if decorrelate else torch.eye(3)
        self.register_buffer("scale", scale[..., None], persistent=False)
        self.register_buffer("axes", axes, persistent=False)
        start = torch.randn(1, 3, *scale.shape, 2, generator=generator)
        self.values = nn.Parameter(noise * start)

    def forward(self) -> Tensor:
        """Return the waves' sum, squeezed into [0, 1] by a sigmoid."""
        waves = torch.view_as_complex(self.values * self.scale)
        image = torch.fft.irfft2(waves, s=self.size, norm="ortho")
        return torch.einsum("bahw,ac->bchw", image, self.axes).sigmoid()

    @torch.no_grad()
    def take(self, image: Tensor) -> None:
        """Take the spectrum of `image`; pure black and white become nearly so."""
        image = resize(image, self.size, mode="bilinear").clamp(EDGE, 1 - EDGE).logit()
        image = torch.einsum("bchw,ca->bahw", image, torch.linalg.inv(self.axes))
        waves = torch.fft.rfft2(image, norm="ortho")
        self.values.copy_(torch.view_as_real(waves) / self.scale)
