"""Files of `guidance.train.latents` → batches of latents with their CLIP embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from guidance.errors import FileError, InputError, line

NAMES = ("latents", "images", "rows", "captions", "texts", "weights")


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


class LatentData:
    """What the files hold, in memory as float16. Pictures of older files count as sharp.

    Args:
        paths: of `guidance.train.latents`, of one latent space and one CLIP.

    Raises:
        FileError: a file is damaged or something else.
        InputError: files do not belong together.
    """

    def __init__(self, paths: Sequence[Path]):
        parts, facts = zip(*(_read(path) for path in paths), strict=True)
        if any(fact != facts[0] for fact in facts):
            raise InputError(f"data: {paths[0]} and the others differ in CLIP, VQGAN or side")
        lows = ["low" in part for part in parts]
        self.low = torch.cat([p["low"] for p in parts]) if all(lows) else None
        self.latents, self.images = (torch.cat([p[k] for p in parts]) for k in NAMES[:2])
        self.sizes = torch.cat([p.get("sizes", torch.ones(len(p["rows"]))) for p in parts])
        self.texts = torch.cat([p["texts"] for p in parts])
        rows, captions = _joined(parts)
        self.captions = captions[rows]  # of every view
        weights = torch.cat([p["weights"] for p in parts])[rows].double()
        self.chances = np.cumsum((weights / weights.sum()).numpy())

    def __len__(self) -> int:
        return len(self.latents)

    def batch(self, size: int, seed: Sequence[int]) -> Views:
        """Return `size` views, drawn by weight; they follow from `seed` alone."""
        rng = np.random.default_rng(list(seed))
        rows = np.searchsorted(self.chances, rng.random(size))
        rows = torch.from_numpy(np.minimum(rows, len(self) - 1))
        chosen = torch.from_numpy(rng.integers(self.captions.shape[1], size=size))
        texts = self.texts[self.captions[rows, chosen].long()]
        low = None if self.low is None else self.low[rows].float()
        latents, images, sizes = self.latents[rows], self.images[rows], self.sizes[rows]
        return Views(latents.float(), images.float(), texts.float(), sizes.float(), low)


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    try:
        with safe_open(path, "pt") as file:
            names = [*NAMES, *({"low", "sizes"} & set(file.keys()))]
            content = {k: file.get_tensor(k) for k in names}
            return content, (file.metadata() or {}).get("guidance", "")
    except Exception as error:  # safetensors' errors share no base with Python's
        raise FileError(
            f"data: {path} is no file of guidance.train.latents: {line(error)}"
        ) from None


def _joined(parts: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the picture of each view and the captions of each picture, numbered across files."""
    rows, captions, pictures, texts = [], [], 0, 0
    for part in parts:
        rows.append(part["rows"].long() + pictures)
        captions.append(part["captions"] + texts)
        pictures, texts = pictures + len(part["captions"]), texts + len(part["texts"])
    return torch.cat(rows), torch.cat(captions)
