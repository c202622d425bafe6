"""A UNet over latents that CLIP embeddings condition: what the mini diffusion models are.

The embedding of a text, that of an image, or both condition it: GLIDE (Nichol et al. 2021,
arXiv:2112.10741) knows texts, the decoder of unCLIP (Ramesh et al. 2022, arXiv:2204.06125, section
2.1) images. Zeros stand for an embedding that is not given.

One that has learned from enlarged pictures too is told how large they were, as Stable Diffusion XL
is (Podell et al. 2023, arXiv:2307.01952, section 2.2), and makes sharp ones: see `labels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from guidance.images.resize import resize
from guidance.models.measured import Measured

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

SIDES = ("latent", "text", "image")


class LatentUNet(Measured):
    """A diffusers ``UNet2DConditionModel`` and the statistics of what goes into it.

    Args:
        config: of the UNet; ``projection_class_embeddings_input_dim`` is twice the length of an
            embedding, and one more if it is told sizes; channels beyond ``out_channels`` take a
            smaller picture's latents.

    Attributes:
        latent_mean, latent_std: ``[C]``.
        text_mean, text_std, image_mean, image_std: ``[D]``.
    """

    unet: UNet2DConditionModel
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: dict[str, Any]):
        from diffusers import UNet2DConditionModel

        dim = config["projection_class_embeddings_input_dim"] // 2
        super().__init__(dict(zip(SIDES, (config["out_channels"], dim, dim), strict=True)))
        self.unet = UNet2DConditionModel.from_config(config)

    def normalise(self, z: Tensor) -> Tensor:
        """Latents of the autoencoder ``[B, C, h, w]`` → those of the UNet, of unit variance."""
        return (z - self.latent_mean.view(-1, 1, 1)) / self.latent_std.view(-1, 1, 1)

    def restore(self, x: Tensor) -> Tensor:
        """Undo `normalise`."""
        return x * self.latent_std.view(-1, 1, 1) + self.latent_mean.view(-1, 1, 1)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        vector: Tensor,
        low: Tensor | None = None,
        sizes: Tensor | None = None,
    ) -> Tensor:
        """Return what the network predicts of noisy latents.

        Args:
            x: ``[B, C, h, w]``, normalised.
            t: time steps ``[B]`` or one for all.
            vector: conditions ``[B, 2 D]``.
            low: normalised latents of the smaller picture ``[B, C, h, w]``, for an upsampler.
            sizes: of the pictures ``[B]``, see `labels`; sharp ones by default.
        """
        x = x if low is None else torch.cat([x, low], 1)
        told = labels(self.unet, vector, sizes)
        return self.unet(x, t, encoder_hidden_states=None, class_labels=told).sample


def labels(unet: UNet2DConditionModel, vector: Tensor, sizes: Tensor | None = None) -> Tensor:
    """Return what the UNet of a `LatentUNet` takes as ``class_labels``.

    The logarithm of the size follows the condition, if the UNet has learned sizes. It is 0 for
    sharp pictures, so that they are made as by a UNet that knows nothing of sizes.

    Args:
        vector: conditions ``[B, 2 D]``.
        sizes: pixels that a picture had for each one it is shown with, in (0, 1], ``[B]``; None
            asks for sharp pictures, of size 1.
    """
    columns = unet.config.projection_class_embeddings_input_dim - vector.shape[1]
    if not columns:
        return vector
    last = vector.new_zeros(len(vector), 1) if sizes is None else sizes.to(vector).log2()[:, None]
    return torch.cat([vector, last], 1)


def enlarge(images: Tensor) -> Tensor:
    """Return images ``[B, 3, H, W]`` twice as large, as an upsampler takes them."""
    height, width = images.shape[-2:]
    return resize(images, (2 * height, 2 * width), antialias=False)
