"""The network that tells real patches from made ones."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from guidance.train.losses import hinge
from guidance.train.vqgan.critic import Critic


class PatchJudge(nn.Sequential, Critic):
    """Pictures ``[N, 3, H, W]`` in [-1, 1] → ``[N, 1, h, w]``: high where a patch looks real.

    Every output sees 34 pixels (Isola et al. 2017, "Image-to-Image Translation with Conditional
    Adversarial Networks", arXiv:1611.07004, section 3.2.2). Spectral normalisation (Miyato et al.
    2018, arXiv:1802.05957) takes the place of batch norms, which mix the pictures of a batch.
    """

    name = "judge"

    def __init__(self, width: int = 48):
        def conv(inside: int, outside: int, stride: int) -> nn.Module:
            return nn.utils.parametrizations.spectral_norm(
                nn.Conv2d(inside, outside, 4, stride, padding=1)
            )

        layers: list[nn.Module] = [conv(3, width, 2), nn.LeakyReLU(0.2)]
        layers += [conv(width, 2 * width, 2), nn.LeakyReLU(0.2)]
        layers += [conv(2 * width, 4 * width, 1), nn.LeakyReLU(0.2), conv(4 * width, 1, 1)]
        super().__init__(*layers)

    def fooled(self, made: Tensor, rng: Generator) -> Tensor:
        """Return how little real the patches look."""
        return -self(made).float().mean()

    def loss(self, images: Tensor, made: Tensor, rng: Generator) -> Tensor:
        """Return the hinge loss."""
        said = self(torch.cat([images, made])).float()
        return hinge(*said.split(len(images)))
