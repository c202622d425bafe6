"""Images ``[N, 3, H, W]`` → features ``[N, F]`` of the image tower before its last projection.

Linear probes read these, wider than the embedding and untouched by what the text tower asks of
it, as the CLIP paper does (Radford et al. 2021, appendix A.3). `project` takes them the rest of
the way, so one pass through the tower gives both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from guidance.clip.model import ClipModel
from guidance.conventions import check_images, check_shape


class _Split(NamedTuple):
    """An image tower in two: input → features, and features → embedding before normalising."""

    body: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor]


@torch.no_grad()
def features(model: ClipModel, images: Tensor) -> Tensor:
    """Return what the image tower sees before it projects to the embedding.

    A vision transformer gives its pooled, normalised token; open_clip's ResNet the output of its
    attention pool before the last layer; a tower of timm its pooled features before the head.
    Towers of any other kind give the embedding itself, before it is brought to unit length.

    Args:
        images: ``[N, 3, H, W]`` in [0, 1], any size.

    Returns:
        ``[N, F]`` float32, not of unit length.
    """
    check_images("images", images)
    return _split(model.network).body(model.prepared(images)).float()


@torch.no_grad()
def project(model: ClipModel, vectors: Tensor) -> Tensor:
    """Return the embeddings that belong to `features`: ``[N, F]`` → ``[N, D]``, unit length."""
    check_shape("vectors", vectors, ["N", "F"])
    out = _split(model.network).head(vectors.to(model.device, model.dtype))
    return F.normalize(out.float(), dim=-1)


def _split(network: Any) -> _Split:
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    visual = network.visual
    plain = isinstance(visual, VisionTransformer) and not visual.output_tokens
    if plain and visual.proj is not None:
        return _transformer(visual)
    if isinstance(visual, ModifiedResNet):
        return _resnet(visual)
    if isinstance(visual, TimmModel):
        return _timm(visual)
    return _Split(lambda x: _first(network.encode_image(x)), nn.Identity())


def _first(out: Tensor | tuple[Tensor, ...]) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]


def _transformer(visual: Any) -> _Split:
    # the identity in place of the projection leaves what came before it, bit for bit
    proj = visual.proj
    eye = torch.eye(len(proj), dtype=proj.dtype, device=proj.device)
    return _Split(lambda x: functional_call(visual, {"proj": eye}, (x,)), lambda v: v @ proj)


def _resnet(visual: Any) -> _Split:
    last = visual.attnpool.c_proj
    width = last.in_features
    swapped = {
        "attnpool.c_proj.weight": torch.eye(width).to(last.weight),
        "attnpool.c_proj.bias": torch.zeros(width).to(last.weight),
    }
    return _Split(lambda x: functional_call(visual, swapped, (x,)), last)


def _timm(visual: Any) -> _Split:
    trunk, head = visual.trunk, visual.head
    if hasattr(head, "pool"):  # pools and projects in one
        return _Split(visual, nn.Identity())
    if len(head):
        return _Split(trunk, head)
    last = trunk.get_classifier() if hasattr(trunk, "get_classifier") else None
    if not isinstance(last, nn.Linear):
        return _Split(visual, nn.Identity())
    return _Split(lambda x: trunk.forward_head(trunk.forward_features(x), pre_logits=True), last)
