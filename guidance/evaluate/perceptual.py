"""Two pictures → how different they look: distance of the features of an image classifier.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
arXiv:1801.03924, equation 1, with all channel weights 1 and the features of an EfficientNet-Lite
in place of AlexNet's, so the numbers are not those of the published LPIPS.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.conventions import check_images
from guidance.errors import InputError

STAGES = (0, 1, 2, 4)  # blocks whose output counts: strides 2, 4, 8 and 16


class Perceptual(nn.Module):
    """Distance of the unit-length features of a timm EfficientNet, averaged over places and stages.

    Args:
        network: a timm classifier with ``conv_stem``, ``bn1``, ``blocks`` and ``default_cfg``, such
            as `guidance.clip.classifier.image_classifier` gives.

    Raises:
        InputError: the network has other parts.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any):
        super().__init__()
        if not all(hasattr(network, part) for part in ("conv_stem", "bn1", "blocks")):
            raise InputError(f"the network must be an EfficientNet but is {type(network).__name__}")
        self.stem = nn.Sequential(network.conv_stem, network.bn1)
        self.blocks = nn.ModuleList(list(network.blocks)[: max(STAGES) + 1])
        for name in ("mean", "std"):
            value = torch.tensor(network.default_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.eval().requires_grad_(False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the features of `images` ``[N, 3, H, W]`` in [0, 1], of length 1 at each place."""
        x = self.stem((images - self.mean) / self.std)
        found = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in STAGES:
                wide = x.to(torch.promote_types(x.dtype, torch.float32))
                found.append(F.normalize(wide, dim=1, eps=1e-6))
        return found

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the distances ``[N]`` between two batches ``[N, 3, H, W]`` in [0, 1].

        0 for equal pictures, 4 at most; differentiable in both.
        """
        check_images("images", images)
        if images.shape != others.shape:
            raise InputError(
                f"others must have shape {list(images.shape)} but has {list(others.shape)}"
            )
        pairs = zip(self.features(images), self.features(others), strict=True)
        parts = [(a - b).pow(2).sum(1).mean((1, 2)) for a, b in pairs]
        return torch.stack(parts).mean(0)
