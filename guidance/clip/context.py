"""Short texts through a text tower without its padding.

The text towers of CLIP look back only, and take the state at the end of the text: what comes after
it, padding up to 77 tokens, changes nothing but the time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor


def _tower(network: Any) -> Any:
    """Return the module with the text tower's mask, if the tower is one that can be cut."""
    tower = network.text if hasattr(network, "text") else network
    mask = getattr(tower, "attn_mask", None)
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        return None
    if getattr(tower, "cls_emb", None) is not None or getattr(tower, "use_pad_mask", False):
        return None
    ahead = torch.ones_like(mask, dtype=torch.bool).triu(1)
    return tower if torch.isneginf(mask[ahead]).all() else None


def taken(tower: Any, tokens: Tensor) -> Tensor | None:
    """Return the place in each row of `tokens` ``[N, L]`` whose state becomes the embedding.

    This is what open_clip's towers do themselves. Where the text ends cannot be told from the
    tokens alone: CLIP's vocabulary has "!" at 0, which is the padding as well.

    Returns:
        ``[N]``, or None for a tower that takes the last place, whatever it holds, or all.
    """
    pooled = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    if pooled == "argmax":  # the end mark is the highest token
        return tokens.argmax(dim=1)
    if pooled == "eos":
        end = getattr(tower, "eos_id", getattr(tower, "text_eos_id", None))
        return None if end is None else tokens.eq(end).int().argmax(dim=1)
    return tokens.new_zeros(len(tokens)) if pooled == "first" else None


@contextlib.contextmanager
def cut(network: Any, tokens: Tensor) -> Generator[Tensor]:
    """Give `tokens` ``[N, L]`` cut to the longest text, with a tower that takes them.

    The embeddings stay the same. Towers that cannot be cut get the tokens as they are.
    """
    tower = _tower(network)
    places = None if tower is None else taken(tower, tokens)
    length = tokens.shape[1] if places is None else int(places.max()) + 1
    if length == tokens.shape[1]:
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
