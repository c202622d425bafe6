"""Files of `guidance.train.latents` → batches of latents with their CLIP embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from guidance.train.latents.prepared import Prepared


@dataclass(frozen=True)
class Views:
    """Some views of pictures.

    Attributes:
        latents: ``[N, C, h, w]`` as the autoencoder gives them.
        images: unit CLIP embeddings of the views ``[N, D]``.
        texts: unit CLIP embeddings of one caption of each ``[N, D]``.
        sizes: pixels that were there for each one that is shown, in (0, 1], ``[N]``.
        low: latents of the views at half the resolution ``[N, C, h, w]``, None if not prepared.
    """

    latents: Tensor
    images: Tensor
    texts: Tensor
    sizes: Tensor
    low: Tensor | None = None


class LatentData(Prepared):
    """What the files hold, in memory as float16; see `Prepared`.

    Args:
        paths: of `guidance.train.latents`, of one latent space and one CLIP.
    """

    def __init__(self, paths: Sequence[Path]):
        super().__init__(paths, "latents")

    @property
    def latents(self) -> Tensor:
        """Latents of every view ``[V, C, h, w]``."""
        return self.held

    def batch(self, size: int, seed: Sequence[int]) -> Views:
        """Return `size` views, drawn by weight; they follow from `seed` alone."""
        rows, chosen = self.draw(size, seed)
        low = None if self.low is None else self.low[rows].float()
        latents, images, sizes = self.latents[rows], self.images[rows], self.sizes[rows]
        texts = self.texts[chosen]
        return Views(latents.float(), images.float(), texts.float(), sizes.float(), low)
