"""Files → features ``[N, F]``, through the same stream and store that embeddings come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guidance.clip.features import features
from guidance.clip.fingerprint import combine
from guidance.clip.model import ClipModel
from guidance.clip.scorer import ClipScorer
from guidance.command.pictures import embedding
from guidance.embeddings.embed import embed_all
from guidance.embeddings.results import Skipped
from guidance.errors import FileError, counted
from guidance.probe.options import ProbeOptions


class _Tower:
    """A CLIP whose image embeddings are its features."""

    def __init__(self, model: ClipModel):
        self.model = model
        self.name = f"{model.name}, features"  # as a store calls them
        self.preprocess, self.device = model.preprocess, model.device

    def encode_image(self, images: Tensor) -> Tensor:
        return features(self.model, images)


class FeatureScorer(ClipScorer):
    """What `guidance.embeddings` takes for a scorer but gives features of one CLIP, ``[N, F]``."""

    def __init__(self, model: ClipModel):
        tower: Any = _Tower(model)  # has what of a CLIP is needed here
        super().__init__([tower])
        self.model = model

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, others than those of the embeddings of the same model."""
        return combine([self.model.fingerprint, "features before the projection"])

    @property
    def length(self) -> int:
        """Length F of the features."""
        side = self.model.image_size
        return features(self.model, torch.zeros(1, 3, side, side)).shape[1]


def read_features(
    model: ClipModel, files: Sequence[Path], options: ProbeOptions
) -> tuple[Tensor, list[int], list[Skipped]]:
    """Compute the features of `files`, or find them in the store of `options`.

    Returns:
        ``[N, F]`` float32, the places in `files` they belong to, and what could not be read.

    Raises:
        FileError: none of the files can be read.
    """
    scorer = FeatureScorer(model)
    vectors, sources, skipped = embed_all(files, scorer, **embedding(options, scorer))
    if not sources:
        first = skipped[0]
        raise FileError(
            f"none of {counted(len(files), 'file')} can be read: {first.source} {first.reason}"
        )
    lost = {s.index for s in skipped}
    return vectors, [i for i in range(len(files)) if i not in lost], skipped
