"""Short texts through a text tower without its padding.

The text towers of CLIP look back only, and take the state at the end of the text: what comes after
it, padding up to 77 tokens, changes nothing but the time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


def _holder(network: nn.Module) -> nn.Module | None:
    """Return the module with the text tower's mask, if the tower is one that can be cut."""
    tower = network.text if hasattr(network, "text") else network
    pooled = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    mask = getattr(tower, "attn_mask", None)
    if pooled != "argmax" or not isinstance(mask, Tensor) or mask.ndim != 2:
        return None
    if getattr(tower, "cls_emb", None) is not None or getattr(tower, "use_pad_mask", False):
        return None
    ahead = torch.ones_like(mask, dtype=torch.bool).triu(1)
    return tower if torch.isneginf(mask[ahead]).all() else None


@contextlib.contextmanager
def cut(network: nn.Module, tokens: Tensor) -> Iterator[Tensor]:
    """Give `tokens` ``[N, L]`` (zero padded) cut to the longest, with a tower that takes them.

    The embeddings stay the same. Towers that cannot be cut get the tokens as they are.
    """
    tower = _holder(network)
    length = int((tokens != 0).sum(1).max())
    if tower is None or length == tokens.shape[1]:
        yield tokens
        return
    mask, positions = tower.attn_mask, tower._parameters.pop("positional_embedding")
    try:
        tower.attn_mask = mask[:length, :length]
        tower.positional_embedding = positions[:length]  # gradients still reach the parameter
        yield tokens[:, :length]
    finally:
        del tower.positional_embedding
        tower.attn_mask, tower.positional_embedding = mask, positions
