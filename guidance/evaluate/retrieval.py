"""Image-text retrieval: R@k in both directions.

As in the literature on Flickr8k and COCO (Karpathy and Fei-Fei 2015, arXiv:1412.2306): each
caption searches its picture among all, each picture any of its captions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.data import Samples, read
from guidance.errors import InputError
from guidance.evaluate.embed import embed_images

RANKS = (1, 5, 10)


def captioned(paths: Sequence[str]) -> Samples:
    """Open pictures as `guidance.data.read` does; those that have a label alone are left out.

    Raises:
        InputError, FileError: as there, or no picture has a caption.
    """
    samples = read(paths).where(lambda s: s.captions)
    if not len(samples):
        raise InputError(f"data: no picture of {', '.join(paths)} has a caption")
    return samples


def embed_pairs(
    model: ClipModel, samples: Samples, *, limit: int | None = None, captions: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Embed pictures and captions.

    Args:
        model: The CLIP.
        samples: Pictures, those without a caption are passed over.
        limit: Pictures at most, the first ones.
        captions: Captions of a picture at most, the first ones.

    Returns:
        Images ``[N, D]``, texts ``[T, D]``, the first of each picture first, and the picture that
        each text belongs to ``[T]``.
    """
    rows = [i for i, s in enumerate(samples) if s.captions][:limit]
    chosen = [samples[r].captions[:captions] for r in rows]
    first = [(c[0], i) for i, c in enumerate(chosen)]
    more = [(t, i) for i, c in enumerate(chosen) for t in c[1:]]
    texts, owner = zip(*first, *more, strict=True)
    images = embed_images(model, samples, rows)
    return images, model.encode_text(list(texts)), torch.tensor(owner, device=images.device)


def recalls(images: Tensor, texts: Tensor, owner: Tensor) -> dict[str, float]:
    """Return R@1, R@5 and R@10 in per cent, text to image and image to text.

    Args:
        images: Unit embeddings ``[N, D]``.
        texts: Unit embeddings ``[T, D]``.
        owner: Picture of each text ``[T]``.
    """
    cosines = texts @ images.T  # [T, N]
    own = cosines.gather(1, owner[:, None])
    place = (cosines > own).sum(1)
    right = owner[:, None] == torch.arange(len(images), device=images.device)
    best = cosines.masked_fill(~right, -torch.inf).amax(0)
    back = (cosines > best).sum(0)
    return {
        f"{name} R@{k}": 100 * (found < k).float().mean().item()
        for name, found in (("text to image", place), ("image to text", back))
        for k in RANKS
    }
