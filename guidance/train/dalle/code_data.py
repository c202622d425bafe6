"""Files of `guidance.train.latents --codes` → batches of codes with their CLIP embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from guidance.conventions import make_generator
from guidance.train.latents.prepared import Prepared

SHARE = 10  # at most one picture of so many is kept back


@dataclass(frozen=True)
class Sentences:
    """Some views of pictures as codes.

    Attributes:
        codes: int64 ``[N, P]`` in raster order.
        texts: unit CLIP embeddings of one caption of each ``[N, D]``.
        images: unit CLIP embeddings of the views ``[N, D]``.
    """

    codes: Tensor
    texts: Tensor
    images: Tensor


class CodeData(Prepared):
    """What the files hold; see `Prepared`.

    Args:
        paths: of `guidance.train.latents --codes`, of one VQGAN and one CLIP.
        kept: pictures that are kept back, at most a tenth of all.

    Attributes:
        back: views of the pictures that are kept back, one each, ``[K]``.
    """

    def __init__(self, paths: Sequence[Path], kept: int):
        super().__init__(paths, "codes")
        pictures = self.rows.unique()
        # of a seed of their own: another run keeps the same ones back
        order = torch.randperm(len(pictures), generator=make_generator(0))
        chosen = pictures[order[: min(kept, len(pictures) // SHARE)]]
        views = torch.isin(self.rows, chosen).nonzero().flatten()
        first = torch.ones(len(views), dtype=torch.bool)
        first[1:] = self.rows[views][1:] != self.rows[views][:-1]
        self.back = views[first]
        if len(views):
            self.keep_back(views)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of codes in a picture."""
        _, rows, columns = self.held.shape
        return rows, columns

    def batch(self, size: int, seed: Sequence[int]) -> Sentences:
        """Return `size` views, drawn by weight; they follow from `seed` alone."""
        views, chosen = self.draw(size, seed)
        return self._sentences(views, chosen)

    def kept_back(self) -> tuple[Sentences, Tensor]:
        """Return what is kept back with the first caption of each, and wrong texts ``[K, D]``.

        A wrong one is that of another picture, and says something else if any does.
        """
        own = self.captions[self.back, 0].long()
        wrong = own.clone()
        for shift in range(1, len(own)):
            same = wrong == own
            if not same.any():
                break
            wrong = torch.where(same, own.roll(shift), wrong)
        return self._sentences(self.back, own), self.texts[wrong].float()

    def _sentences(self, views: Tensor, captions: Tensor) -> Sentences:
        codes = self.held[views].flatten(1).long()
        return Sentences(codes, self.texts[captions].float(), self.images[views].float())
