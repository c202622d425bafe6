"""The CLIP models inside the package: their files, and how they are put together."""

from __future__ import annotations

import json
from typing import NamedTuple

from safetensors.torch import load_file

from guidance.clip.build import Parts, assemble, load_local
from guidance.clip.prior import Prior, load_prior
from guidance.pretrained.packaged import packaged, pretrained


class Shipped(NamedTuple):
    """File names of one model, in ``clip/configs`` and ``pretrained``.

    `image` holds an image tower that takes the place of the one in `weights`.
    """

    config: str
    weights: str
    image: str = ""
    prior: str = ""


SHIPPED = {
    "mini": Shipped("mini.json", "mini-clip.safetensors"),
    "mini-guide": Shipped(
        "mini-guide.json",
        "mini-clip.safetensors",
        image="mini-clip-guide.safetensors",
        prior="mini-clip-prior.safetensors",
    ),
}

GUIDES = {"mini": "mini-guide"}  # model → the one with the image tower made for gradients


def load_parts(name: str) -> Parts:
    """Load the network, tokenizer and preprocessing of a shipped model.

    Raises:
        ModelError: a file is missing or not the one that was shipped.
    """
    files = SHIPPED[name]
    with packaged(f"clip/configs/{files.config}") as config, pretrained(files.weights) as weights:
        if not files.image:
            return load_local(config, weights)
        content, state = json.loads(config.read_text(encoding="utf-8")), load_file(weights)
    with pretrained(files.image) as path:
        state = {k: v for k, v in state.items() if not k.startswith("visual.")} | load_file(path)
    return assemble(content, state, files.image)


def load_prior_of(name: str) -> Prior | None:
    """Load the prior of a shipped model, if it has one."""
    if not SHIPPED[name].prior:
        return None
    with pretrained(SHIPPED[name].prior) as path:
        return load_prior(path)
