"""CLIP as the reader of prompts: its embeddings are what a network is told."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.conventions import check_images
from guidance.models.conditions import Condition, TextReader
from guidance.models.measured import Measured


class ClipReader(TextReader):
    """Texts and pictures → conditions of a network: ``class_labels [1, 2 D]``."""

    def __init__(self, clip: ClipModel, network: Measured):
        super().__init__()
        self.clip = clip
        self.embedding = network

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> list[Condition]:
        """Return the condition of each text: its embedding, and what the prior says of pictures."""
        rows = self.embedding.vector(self.clip.encode_text(texts), self.clip.imagine(texts))
        return [Condition({"class_labels": row[None]}) for row in rows]

    @torch.no_grad()
    def look(self, images: Tensor) -> list[Condition]:
        """Return the condition of each of ``images [N, 3, H, W]``: their embeddings alone."""
        check_images("images", images)
        rows = self.embedding.vector(None, self.clip.encode_image(images))
        return [Condition({"class_labels": row[None]}) for row in rows]

    def empty(self) -> Condition:
        """Return the condition of nothing: zeros."""
        return Condition({"class_labels": torch.zeros(1, 2 * self.embedding.dim).to(self.device)})
