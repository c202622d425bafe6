"""x0 of a diffusion network ⇄ pictures: it is pixels, or the latents of an autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from guidance.conventions import check_images
from guidance.errors import ModelError
from guidance.models.latents import Latents
from guidance.models.offload import move_buffers, offload_weights


class Pixels(nn.Module):
    """The space of networks that work on pixels: x0 = 2 · picture - 1."""

    channels, factor = 3, 1

    def decode(self, x0: Tensor, *, fast: bool = True, clamp: bool = True) -> Tensor:
        """Return pictures; see `Denoiser.decode`."""
        images = (x0 + 1) / 2
        return images.clamp(0, 1) if clamp else images

    def encode(self, images: Tensor) -> Tensor:
        """Return x0 of pictures."""
        check_images("images", images)
        return images * 2 - 1

    def place(self, device: torch.device | str, precision: str, *, offload: bool = False) -> Pixels:
        """Return itself: there is nothing to move."""
        return self


class LatentSpace(nn.Module):
    """The latents of an autoencoder, scaled as a diffusion network wants them.

    Args:
        latents: the autoencoder.
        mean, std: one number or one a channel; x0 = (latents - mean) / std.
        draft: a cheaper decoder of the same x0, for gradients.
        upcast: the autoencoder overflows in float16.

    Raises:
        ModelError: the draft decoder is of another latent space.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        latents: Latents,
        *,
        mean: float | Sequence[float] | Tensor = 0.0,
        std: float | Sequence[float] | Tensor = 1.0,
        draft: LatentSpace | None = None,
        upcast: bool = False,
    ):
        super().__init__()
        self.latents, self.draft, self.upcast = latents, draft, upcast
        self.channels, self.factor = latents.channels, latents.factor
        for name, value in (("mean", mean), ("std", std)):
            value = torch.as_tensor(value, dtype=torch.float32)
            self.register_buffer(name, value.expand(self.channels).clone().view(1, -1, 1, 1))
        self._arithmetic = "fp32"
        if draft and (draft.channels, draft.factor) != (self.channels, self.factor):
            raise ModelError(
                f"the decoder {draft.latents.name} must take {self.channels} channels at "
                f"{self.factor} pixels a cell but takes {draft.channels} at {draft.factor}"
            )

    @classmethod
    def of(cls, latents: Latents, draft: LatentSpace | None = None) -> LatentSpace:
        """Return the space of a diffusers autoencoder, scaled as its config says."""
        config = latents.network.config
        scale = config.get("scaling_factor", 1.0)
        if latents.codebook is not None and "scaling_factor" in config.get(
            "_use_default_values", ()
        ):
            scale = 1.0  # VQGANs were not scaled; the class's default is that of another model
        mean = config.get("latents_mean") or config.get("shift_factor") or 0.0
        std = torch.as_tensor(config.get("latents_std") or 1.0) / scale
        upcast = bool(config.get("force_upcast", False))
        return cls(latents, mean=mean, std=std, draft=draft, upcast=upcast)

    def decode(self, x0: Tensor, *, fast: bool = True, clamp: bool = True) -> Tensor:
        """Return pictures; see `Denoiser.decode`."""
        if fast and self.draft is not None:
            return self.draft.decode(x0, clamp=clamp)
        # one by one the final pictures need less memory, and none depends on its neighbours
        parts = (x0,) if fast else x0.split(1)
        self.latents.precision = self._arithmetic if fast else "fp32"
        images = torch.cat([self.latents.decode(self._own(p), clamp=False) for p in parts])
        return images.clamp(0, 1) if clamp else images

    def encode(self, images: Tensor) -> Tensor:
        """Return x0 of pictures, without gradient."""
        return (self.latents.encode(images) - self.mean) / self.std

    def place(
        self, device: torch.device | str, precision: str, *, offload: bool = False
    ) -> LatentSpace:
        """Move to `device`; see `Denoiser.place`."""
        # bfloat16 has the range of float32
        self._arithmetic = "bf16" if precision == "fp16" and self.upcast else precision
        if offload:
            offload_weights(self.latents.place("cpu").network, torch.device(device))
            move_buffers(self.latents, device)
        else:
            self.latents.place(device)
        move_buffers(self, device)
        if self.draft is not None:
            self.draft.place(device, precision, offload=offload)
        return self

    def _own(self, x0: Tensor) -> Tensor:
        """Return x0 as the autoencoder scales it."""
        return x0.to(self.std.dtype) * self.std + self.mean
