"""Images ``[N, 3, H, W]`` → features ``[N, C, h, w]`` of several depths of a CLIP's image tower."""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.conventions import check_images
from guidance.errors import InputError


class Depths:
    """The features of a frozen tower after equal parts of its depth; the last is all of it.

    The tokens of a transformer come as the grid of their patches, the class token is left out.

    Args:
        model: its tower is one of open_clip's own or of timm.
        count: depths to take; fewer of a tower that has fewer layers.

    Attributes:
        model: the same.
        widths: C of each depth, the shallowest first.

    Raises:
        InputError: the tower gives nothing between its layers.
    """

    def __init__(self, model: ClipModel, count: int = 3):
        self.model = model
        layers = _layers(model)
        self.layers = sorted({max(1, round(layers * (i + 1) / count)) - 1 for i in range(count)})
        size = model.image_size
        with torch.no_grad():
            found = self(torch.zeros(1, 3, size, size, device=model.device))
        self.widths = [f.shape[1] for f in found]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the features of images of any size, in [0, 1] and differentiable in them."""
        check_images("images", images)
        found = self.model.network.visual.forward_intermediates(
            self.model.prepared(images),
            indices=self.layers,
            stop_early=True,
            intermediates_only=True,
        )
        return found["image_intermediates"]


def _layers(model: ClipModel) -> int:
    """Return between how many layers, or stages, the tower can be looked into."""
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    tower = model.network.visual
    if isinstance(tower, VisionTransformer):
        return len(tower.transformer.resblocks)
    if isinstance(tower, ModifiedResNet):
        return 5  # the stem and four stages
    if isinstance(tower, TimmModel) and hasattr(tower.trunk, "forward_intermediates"):
        return len(tower.trunk.feature_info)
    raise InputError(
        f"the image tower of {model.name} ({type(tower).__name__}) gives no features between its "
        "layers; open_clip's ViTs and ResNets and most towers of timm do"
    )
