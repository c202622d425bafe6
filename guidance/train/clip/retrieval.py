"""Weights in the middle of a training → retrieval on held-out pairs, in figures and a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import ImageOps
from torch import Tensor

from guidance.clip.build import assemble
from guidance.clip.model import ClipModel
from guidance.data import Samples
from guidance.evaluate.retrieval import embed_pairs, recalls
from guidance.train.loop.log import Log

GALLERY = 1000  # held-out pictures at most
SHOWN = 12  # rows and columns of the matrix of samples


class Held:
    """Held-out pairs that a training is measured on along the way.

    Args:
        samples: the pairs; None measures nothing.
        config: of the CLIP in training.
        device: where it is measured.
    """

    def __init__(
        self, samples: Samples | None, config: dict[str, Any], device: torch.device
    ) -> None:
        self.samples, self.config, self.device = samples, config, device

    def measure(self, log: Log, step: int, state: dict[str, Tensor]) -> None:
        """Report retrieval with the weights `state`, and show a few of the pairs."""
        if self.samples is None:
            return
        parts = assemble(self.config, {k: v.cpu() for k, v in state.items()}, "the training's")
        model = ClipModel(*parts, name="training", device=self.device)
        images, texts, owner = embed_pairs(model, self.samples, limit=GALLERY)
        figures = recalls(images, texts, owner)
        told = "  ".join(f"{k} {v:.1f}" for k, v in figures.items())
        log.say(step, f"held out, {len(images)} pictures, %: {told}")
        log.scalars(step, {f"retrieval/{name}": value for name, value in figures.items()})
        if log.writer:
            log.image(step, "samples", matrix(self.samples, images, texts))


def matrix(val: Samples, images: Tensor, texts: Tensor, side: int = 48) -> Tensor:
    """Draw the cosines of the first pictures (rows) and captions: ``[3, H, W]`` in [0, 1].

    The left column shows the pictures; white is the largest cosine and black the smallest.
    """
    count = min(SHOWN, len(images))
    cosines = (images[:count] @ texts[:count].T).cpu()
    low, high = cosines.min(), cosines.max()
    cells = ((cosines - low) / (high - low).clamp_min(1e-6)).repeat_interleave(side, 0)
    cells = cells.repeat_interleave(side, 1)[None].expand(3, -1, -1)
    small = [ImageOps.fit(val.image(i).convert("RGB"), (side, side)) for i in range(count)]
    column = torch.from_numpy(np.concatenate([np.asarray(s) for s in small])).permute(2, 0, 1)
    return torch.cat([column.float() / 255, cells], 2)
