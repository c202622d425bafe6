"""Files → features ``[N, F]``, through the same stream and store that embeddings come from."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from guidance.clip.features import features
from guidance.clip.fingerprint import combine
from guidance.clip.model import ClipModel
from guidance.clip.scorer import ClipScorer
from guidance.embeddings.embed import embed
from guidance.embeddings.results import Embedded
from guidance.embeddings.store import EmbeddingStore
from guidance.errors import FileError, counted
from guidance.score.ranking import Skipped


class _Tower:
    """A CLIP whose image embeddings are its features."""

    def __init__(self, model: ClipModel):
        self.model = model
        self.name, self.preprocess, self.device = model.name, model.preprocess, model.device

    def encode_image(self, images: Tensor) -> Tensor:
        return features(self.model, images)


class FeatureScorer(ClipScorer):
    """What `guidance.embeddings` takes for a scorer but gives features of one CLIP, ``[N, F]``."""

    def __init__(self, model: ClipModel):
        super().__init__([_Tower(model)])
        self.model = model

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, others than those of the embeddings of the same model."""
        return combine([self.model.fingerprint, "features before the projection"])


def read_features(
    model: ClipModel,
    files: Sequence[Path],
    *,
    batch: int = 32,
    workers: int = 2,
    store: str | None = None,
    progress: bool = False,
) -> tuple[Tensor, list[int], list[Skipped]]:
    """Compute the features of `files`.

    Args:
        store: folder that keeps them, of `EmbeddingStore`.

    Returns:
        ``[N, F]`` float32, the places in `files` they belong to, and what could not be read.

    Raises:
        FileError: none of the files can be read.
    """
    scorer = FeatureScorer(model)
    kept = None
    if store is not None:
        width = features(model, torch.zeros(1, 3, model.image_size, model.image_size)).shape[1]
        name = f"{model.name}, features"
        kept = EmbeddingStore(store, fingerprint=scorer.fingerprint, dim=width, model=name)
    found: list[Embedded] = []
    stream = embed(files, scorer, batch=batch, workers=workers, store=kept, progress=progress)
    with contextlib.closing(stream):
        for part in stream:
            found += part
    found.sort(key=lambda e: e.index)
    good = [e for e in found if e.vector is not None]
    skipped = [Skipped(e.index, e.source, e.reason) for e in found if e.vector is None]
    if not good:
        first = skipped[0]
        raise FileError(
            f"none of {counted(len(files), 'file')} can be read: {first.source} {first.reason}"
        )
    return torch.stack([e.vector for e in good]), [e.index for e in good], skipped
