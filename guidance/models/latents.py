"""Latent grid → picture: one small interface over VQGANs and autoencoders of diffusers.

A VQGAN has a codebook and paints with its codes; the autoencoders of Stable Diffusion and TAESD
are continuous, and quantising is the identity.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from guidance.clip.model import PRECISIONS
from guidance.conventions import check_images, check_range, check_shape
from guidance.errors import InputError, ModelError
from guidance.models.frozen_conv import freeze_convolutions
from guidance.models.fused_norm import fuse_norms
from guidance.models.latents_config import cell_side
from guidance.models.quantise import clamp_inward, code_range, gumbel_codes, quantise

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny, VQModel


class Latents(nn.Module):
    """A picture decoder and its latent space. Works on images in [0, 1].

    Args:
        network: a diffusers `VQModel`, `AutoencoderKL` or `AutoencoderTiny`; its weights are
            frozen, gradients flow to the latents only. It is changed in place to decode faster.
        name: shown to people.
        factor: pixels along the side of one latent cell.
        channels: C of the latent grid.
        codebook: ``[K, C]``, or None for continuous latents.
        unit: the network's own pixels are in [0, 1] rather than [-1, 1].

    Attributes:
        low, high: ``[C]`` valid range of each channel: that of the codebook, or -inf and inf.
        precision: arithmetic of `decode`: "fp32", "bf16" or "fp16".
    """

    network: VQModel | AutoencoderKL | AutoencoderTiny
    codebook: Tensor | None
    low: Tensor
    high: Tensor

    def __init__(
        self,
        network: VQModel | AutoencoderKL | AutoencoderTiny,
        *,
        name: str,
        factor: int,
        channels: int,
        codebook: Tensor | None = None,
        unit: bool = False,
    ):
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        fuse_norms(network.decoder)
        freeze_convolutions(network.decoder)
        self.name, self.factor, self.channels, self.unit = name, factor, channels, unit
        self.precision = "fp32"
        if codebook is None:
            infinite = torch.full((channels,), math.inf)
            low, high, spread = -infinite, infinite, 1.0
        else:
            check_shape("codebook", codebook, ["K", channels])
            codebook = codebook.detach()
            low, high = code_range(codebook)
            spread = float((codebook - codebook.mean(0)).pow(2).sum(1).mean())
        # not persistent: all of it is in the network already
        self.register_buffer("codebook", codebook, persistent=False)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self._spread = spread or 1.0  # mean squared distance of a code from the middle

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return the latents of images, before quantisation; without gradient, in float32.

        Args:
            images: ``[B, 3, H, W]`` in [0, 1], both sides multiples of `factor`.

        Returns:
            ``[B, C, H / factor, W / factor]``; of a variational autoencoder the mean.

        Raises:
            InputError: a shape that does not fit.
        """
        check_images("images", images)
        if images.shape[-2] % self.factor or images.shape[-1] % self.factor:
            height, width = images.shape[-2:]
            raise InputError(
                f"both sides of an image for {self.name} must be multiples of {self.factor} pixels "
                f"but it has {width}x{height}"
            )
        images = images.to(self.low).contiguous(memory_format=torch.channels_last)
        out = self.network.encode(images if self.unit else images * 2 - 1)
        latents = out.latent_dist.mode() if hasattr(out, "latent_dist") else out.latents
        return latents.contiguous()

    def quantise(
        self, z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the codes nearest to `z` ``[B, C, h, w]``, with the gradient of the identity.

        Continuous latents are returned as they are.

        Args:
            temperature: above 0, draw codes by the Gumbel-softmax trick, see `gumbel_codes`;
                distances count in units of the codebook's variance.
            generator: needed then.
        """
        check_shape("z", z, ["B", self.channels, "h", "w"])
        if self.codebook is None:
            return z
        check_range("temperature", temperature, 0)
        if temperature == 0:
            return quantise(z, self.codebook)
        if generator is None:
            raise InputError("a temperature above 0 needs a generator")
        return gumbel_codes(
            z, self.codebook, temperature=temperature, generator=generator, unit=self._spread
        )

    def decode(
        self,
        z: Tensor,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
        *,
        clamp: bool = True,
    ) -> Tensor:
        """Return the picture of latents ``[B, C, h, w]``: float32 ``[B, 3, H, W]`` in [0, 1].

        See `quantise` for temperature and generator.

        Args:
            clamp: keep it in [0, 1], with the gradient where it points inward; without, the
                picture may leave that range a little.
        """
        codes = self.quantise(z, temperature, generator)
        pixels = self._decode(codes.contiguous(memory_format=torch.channels_last)).float()
        images = pixels if self.unit else (pixels + 1) / 2
        return clamp_inward(images, 0.0, 1.0) if clamp else images

    def random(self, rows: int, columns: int, generator: torch.Generator) -> Tensor:
        """Return ``[1, C, rows, columns]`` of random codes; unit normal without a codebook.

        Args:
            generator: on the CPU, so that every device starts with the same.
        """
        if self.codebook is None:
            z = torch.randn(1, self.channels, rows, columns, generator=generator)
            return z.to(self.low)
        index = torch.randint(len(self.codebook), (rows * columns,), generator=generator)
        codes = self.codebook[index.to(self.codebook.device)]
        return codes.T.reshape(1, self.channels, rows, columns).contiguous()

    def place(self, device: torch.device | str, precision: str = "fp32") -> Latents:
        """Move to `device`, frozen, ready to decode; return itself.

        Args:
            precision: "bf16" and "fp16" decode under autocast; codes are chosen in float32.
        """
        if precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise InputError(f"precision must be one of {known} but is {precision!r}")
        self.precision = precision
        self.to(device=device)
        self.network.to(memory_format=torch.channels_last)
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Latents:
        """Stay in evaluation mode, also within a generator that is set to train."""
        return super().train(False)

    def _decode(self, codes: Tensor) -> Tensor:
        dtype = PRECISIONS[self.precision]
        fast = self.precision != "fp32"
        with torch.autocast(codes.device.type, dtype=dtype if fast else None, enabled=fast):
            network = self.network
            if self.codebook is None:
                return network.decode(codes).sample
            # not network.decode: with `lookup_from_codebook` it takes indices, which have no
            # gradient
            spatial = network.config.norm_type == "spatial"
            return network.decoder(network.post_quant_conv(codes), codes if spatial else None)


def wrap(network: nn.Module, name: str) -> Latents:
    """Return the latent space of a diffusers `VQModel`, `AutoencoderKL` or `AutoencoderTiny`.

    Args:
        name: shown to people.

    Raises:
        ModelError: another class, or a network that does not make RGB pictures.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny, VQModel

    if not isinstance(network, VQModel | AutoencoderKL | AutoencoderTiny):
        raise ModelError(
            f"{name} must be a VQModel, AutoencoderKL or AutoencoderTiny of diffusers but is "
            f"{type(network).__name__}"
        )
    config = network.config
    factor = cell_side(type(network).__name__, config)
    if (config.in_channels, config.out_channels) != (3, 3):
        raise ModelError(
            f"{name} must take and make RGB pictures (3 channels) but has {config.in_channels} and "
            f"{config.out_channels} channels"
        )
    if isinstance(network, AutoencoderTiny):
        return Latents(network, name=name, factor=factor, channels=config.latent_channels)
    if isinstance(network, AutoencoderKL):
        return Latents(network, name=name, factor=factor, channels=config.latent_channels)
    codebook = network.quantize.embedding.weight
    return Latents(
        network,
        name=name,
        factor=factor,
        channels=codebook.shape[1],
        codebook=codebook,
        unit=bool(config.lookup_from_codebook),
    )
