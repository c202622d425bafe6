"""Picture ↔ grid of whole numbers: the small interface over all discrete autoencoders.

A codec says nothing of how codes are written: that is a `guidance.models.writer.Writer`'s.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from guidance.errors import ModelError
from guidance.models.codec_names import check_codec, codec_kind
from guidance.models.codes import check_codes
from guidance.models.latents import Latents
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
        with torch.autocast(z.device.type, enabled=False):  # codes lie close together
            return nearest_codes(rows.float(), self._book).view(batch, height, width)

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
    """Load a discrete autoencoder by name, see `guidance.models.codec_names`.

    Args:
        name: of a latent space with a codebook, or of a dVAE.
        config: the .yaml of a taming-transformers checkpoint.
        device: where it runs.
        precision: arithmetic of a VQGAN's decoding, see `Latents.place`; a dVAE keeps float32.

    Raises:
        InputError, FileError: the name is none, or its files are not there.
        ModelError: the weights are damaged or incomplete, or it has no codebook.
    """
    check_codec(name, config)
    if codec_kind(name) == "dvae":
        from guidance.models.load_dvae import load_dvae

        return load_dvae(name).to(device).requires_grad_(False)
    return VqganCodec(load_latents(name, config, device=device, precision=precision))
