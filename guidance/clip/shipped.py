"""The CLIP models inside the package, and their files."""

from __future__ import annotations

from typing import NamedTuple


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
