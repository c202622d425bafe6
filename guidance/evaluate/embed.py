"""Samples → embeddings, in batches, with the preprocessing that belongs to the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.data import Samples
from guidance.images import as_tensor

BATCH = 64


def on_white(image: Image.Image) -> Image.Image:
    """Return `image` as RGB, what is transparent as white."""
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


@torch.no_grad()
def embed_images(model: ClipModel, samples: Samples, rows: Sequence[int] | None = None) -> Tensor:
    """Embed the pictures of `rows` (by default all): unit vectors ``[N, D]``."""
    rows = range(len(samples)) if rows is None else rows
    parts = []
    for start in range(0, len(rows), BATCH):
        pictures = [as_tensor(on_white(samples.image(i))) for i in rows[start : start + BATCH]]
        sized = [model.preprocess.resize(p).clamp(0, 1) for p in pictures]
        parts.append(model.encode_image(torch.cat(sized)))
    return torch.cat(parts)
