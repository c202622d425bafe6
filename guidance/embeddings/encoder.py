"""Prepared images → vectors: the models of a scorer, one batch after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.embeddings.reading import Item


class Encoder:
    """Runs the models on prepared images; on CUDA one batch runs while the next is put together."""

    def __init__(self, scorer: ClipScorer):
        self.scorer = scorer
        self.cuda = scorer.device.type == "cuda"
        self.running: deque[tuple[list[Item], Tensor]] = deque()

    def put(self, batch: list[Item]) -> Iterator[list[Item]]:
        """Begin with a batch; give those that are finished."""
        with torch.no_grad():
            self.running.append((batch, self._vectors(batch)))
        while len(self.running) > int(self.cuda):
            yield self._finish()

    def rest(self) -> Iterator[list[Item]]:
        """Give what is still under way."""
        while self.running:
            yield self._finish()

    def _vectors(self, batch: list[Item]) -> Tensor:
        inputs: dict[object, Tensor] = {}  # models with the same preprocessing share theirs
        parts = []
        for number, model in enumerate(self.scorer.models):
            if model.preprocess not in inputs:
                pixels = [item.pixels[number] for item in batch]
                inputs[model.preprocess] = self._stack(pixels, model.device)
            parts.append(model.encode_image(inputs[model.preprocess]))
        return self.scorer.join(parts)

    def _stack(self, pixels: list[Tensor], device: torch.device) -> Tensor:
        """Return a batch in [0, 1] on the device; pixels of 8 bits travel as such."""
        if len({p.dtype for p in pixels}) > 1:
            pixels = [p if p.is_floating_point() else p.float().div_(255) for p in pixels]
        if len({p.device for p in pixels}) > 1:
            pixels = [p.to(device) for p in pixels]
        images = torch.stack(pixels)
        if self.cuda and images.device.type == "cpu":
            images = images.pin_memory()
        images = images.to(device, non_blocking=True)
        return images if images.is_floating_point() else images.float().div_(255)

    def _finish(self) -> list[Item]:
        batch, vectors = self.running.popleft()
        vectors = vectors.float().cpu()
        finite = vectors.isfinite().all(1).tolist()  # half precision can overflow inside
        reason = "has an embedding that is not finite"
        return [
            item.finish(vector=v) if ok else item.finish(reason=reason)
            for item, v, ok in zip(batch, vectors, finite, strict=True)
        ]
