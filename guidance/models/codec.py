"""Picture ↔ grid of whole numbers: the small interface over all discrete autoencoders.

A codec says nothing of how codes are written: that is a `guidance.models.writer.Writer`'s.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from guidance.conventions import check_shape
from guidance.errors import InputError, ModelError
from guidance.models.latents import Latents
from guidance.models.latents_config import check_latents
from guidance.models.load_latents import load_latents
from guidance.models.quantise import nearest_codes


class Codec(Protocol):
    """A discrete autoencoder; frozen, without gradient.

    Attributes:
        name: shown to people.
        codes: size of the vocabulary.
        factor: pixels along the side of the square that one code stands for.
    """

    name: str
    codes: int
    factor: int

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes of images: int64 ``[N, H / factor, W / factor]``, 0 … codes - 1.

        Args:
            images: ``[N, 3, H, W]`` in [0, 1], both sides multiples of `factor`.

        Raises:
            InputError: a shape that does not fit.
        """
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Return the pictures of codes ``[N, h, w]``: float32 ``[N, 3, h · factor, w · factor]``.

        In [0, 1].

        Raises:
            InputError: a shape that does not fit, or a code that there is none of.
        """
        ...


def check_codes(codes: Tensor, count: int) -> None:
    """Raise `InputError` unless `codes` is a batch of grids of whole numbers below `count`."""
    check_shape("codes", codes, ["N", "h", "w"])
    if codes.dtype != torch.int64:
        raise InputError(f"codes must be int64 but are {codes.dtype}")
    if codes.numel() and not (codes.min() >= 0 and codes.max() < count):
        raise InputError(
            f"codes must be from 0 to {count - 1} but are from {codes.min()} to {codes.max()}"
        )


class VqganCodec:
    """A VQGAN's codebook as a `Codec`.

    Args:
        latents: with a codebook; where they were placed is where this runs.

    Raises:
        ModelError: the latents are continuous.
    """

    def __init__(self, latents: Latents):
        if latents.codebook is None:
            raise ModelError(
                f"{latents.name} has no codebook: an autoencoder of continuous latents makes no "
                "codes; take a VQGAN"
            )
        self.latents, self._book = latents, latents.codebook
        self.name, self.factor, self.codes = latents.name, latents.factor, len(latents.codebook)

    @property
    def vectors(self) -> Tensor:
        """The codebook, float32 ``[codes, C]``."""
        return self._book

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return the nearest code of every cell; see `Codec.encode`."""
        z = self.latents.encode(images)
        batch, channels, height, width = z.shape
        rows = z.movedim(1, -1).reshape(-1, channels)
        return nearest_codes(rows, self._book).view(batch, height, width)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Return the pictures of codes; see `Codec.decode`."""
        check_codes(codes, self.codes)
        z = self._book[codes.to(self._book.device)].movedim(-1, 1)
        return self.latents.decode(z.contiguous())


def load_codec(
    name: str,
    config: str | None = None,
    *,
    device: torch.device | str,
    precision: str = "fp32",
) -> Codec:
    """Load a discrete autoencoder by the name of a latent space; see `load_latents`.

    Raises:
        InputError, FileError: the name is none, or its files are not there.
        ModelError: the weights are damaged or incomplete, or it has no codebook.
    """
    check_latents(name, config)
    return VqganCodec(load_latents(name, config, device=device, precision=precision))
