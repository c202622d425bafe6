"""Noisy latents → how well they fit a condition: a CLIP that knows noise.

A CLIP that has seen clean pictures says little of noisy ones; GLIDE trained one on noisy pictures,
told of the noise level, and took its gradient at the noisy picture itself (Nichol et al. 2021,
arXiv:2112.10741, section 2.3). Here the diffusion network is its body: what the first half of the
UNet makes of the latents is good features (Baranchuk et al. 2021, arXiv:2112.03126), so that only
a small head has to be learned, and neither the second half nor a decoder is in the gradient's way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.models.latent_unet import LatentUNet, labels

HIDDEN = 384


class NoiseAware(nn.Module):
    """The first half of a `LatentUNet`, which is not trained here, and a head.

    Args:
        network: the diffusion network; not a part of this module's state.
    """

    def __init__(self, network: LatentUNet):
        super().__init__()
        self._body = (network,)
        widths = network.unet.config.block_out_channels
        self.head = nn.Sequential(
            nn.Linear(sum(widths) + widths[-1], HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, 2 * network.dim),
        )
        self.log_scale = nn.Parameter(torch.tensor(3.0))  # of the cosines in the contrast

    def features(self, x: Tensor, t: Tensor) -> Tensor:
        """Return what the UNet's first half makes of noisy latents, ``[B, F]``.

        Args:
            x: ``[B, C, h, w]``, normalised and noisy.
            t: time steps ``[B]``, or one for all.
        """
        (network,) = self._body
        unet, x = network.unet, x.to(network.unet.dtype)
        told = labels(unet, x.new_zeros(len(x), 2 * network.dim))
        time = unet.time_embedding(unet.get_time_embed(x, t).to(x.dtype))
        time = time + unet.get_class_embed(x, told)
        seen, x = [], unet.conv_in(x)
        for block in unet.down_blocks:
            x, states = block(hidden_states=x, temb=time)
            seen.append(states[0].mean((2, 3)))  # of this resolution, before it is halved
        return torch.cat([*seen, unet.mid_block(x, time).mean((2, 3))], 1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the direction of the condition ``[B, 2 D]`` that fits noisy latents, unit length.

        Args:
            x: ``[B, C, h, w]``, normalised and noisy.
            t: time steps ``[B]``, or one for all.
        """
        return F.normalize(self.head(self.features(x, t).float()), dim=-1)

    def likeness(self, x: Tensor, t: Tensor, vector: Tensor) -> Tensor:
        """Return the cosines of noisy latents and conditions ``[1 or B, 2 D]``: ``[B]``."""
        return (self(x, t) * F.normalize(vector, dim=-1)).sum(-1)
