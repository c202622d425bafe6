"""The pictures of one run: their size, and each one's own random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.conventions import derive_seed, make_generator
from guidance.models.denoiser import Denoiser


@dataclass(frozen=True)
class Pictures:
    """The pictures of one run.

    Attributes:
        size: height and width, pixels.
        seeds: one a picture.
        at_once: pictures in the networks at a time; None for all.
    """

    size: tuple[int, int]
    seeds: tuple[int, ...]
    at_once: int | None = None

    def generators(self, *purpose: str | int) -> list[torch.Generator]:
        """Return a random generator a picture, for one purpose."""
        return [make_generator(derive_seed(seed, *purpose)) for seed in self.seeds]

    def noise(self, denoiser: Denoiser, *purpose: str | int) -> Tensor:
        """Return standard normal noise ``[B, C, h, w]`` as `denoiser` takes it."""
        shape = (denoiser.channels, *(side // denoiser.factor for side in self.size))
        rows = [torch.randn(shape, generator=g) for g in self.generators(*purpose)]
        return torch.stack(rows).to(denoiser.device)
