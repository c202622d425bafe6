"""Images → unit vectors ``[n, D]``: the one way in, whichever engine does the work."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.embeddings.check import check_embedding, check_engine
from guidance.embeddings.local import embed_local
from guidance.embeddings.results import Embedded, Skipped
from guidance.embeddings.store import EmbeddingStore
from guidance.errors import InputError
from guidance.images import ImageLike


def embed(
    images: Tensor | Iterable[ImageLike],
    scorer: ClipScorer,
    *,
    batch: int = 32,
    workers: int = 2,
    store: EmbeddingStore | None = None,
    progress: bool = False,
    engine: str = "local",
    address: str | None = None,
) -> Generator[list[Embedded]]:
    """Embed images as a stream of lists, in no particular order.

    Args:
        images: ``[N, 3, H, W]`` in [0, 1]; or any iterable of paths, PIL images and tensors
            ``[3, H, W]`` or ``[B, 3, H, W]``, which is read once, a little ahead of the model.
        scorer: the model or ensemble.
        batch: images embedded at once; changes speed and memory, not the result.
        workers: threads that read and decode; 0 reads in between.
        store: of this scorer's embeddings. Files it knows are not decoded, new ones are added,
            also when the stream is closed early. Images that are no files pass it by.
        progress: show a bar on stderr if it takes longer than 2 seconds.
        engine: ``"local"``, or ``"ray"`` for files on a cluster (`guidance.embeddings.ray_engine`).
        address: of the Ray cluster.

    Raises:
        InputError: an argument is not allowed, at once, or an image is of no known type, when its
            turn comes. Files that cannot be used raise nothing; they come with a reason.

    Example:
        >>> scorer = ClipScorer("mini", device="cpu")
        >>> [len(part) for part in embed(torch.rand(5, 3, 64, 64), scorer, batch=3)]
        [3, 2]
    """
    check_embedding(images, batch, workers)
    check_engine(engine)
    if store is not None and store.fingerprint != scorer.fingerprint:
        raise InputError(f"the store {store.folder} belongs to another CLIP model")
    options = {"batch": batch, "workers": workers, "store": store, "progress": progress}
    if engine == "ray":
        from guidance.embeddings.ray_engine import embed_ray

        return embed_ray(images, scorer, address=address, **options)
    return embed_local(images, scorer, **options)


def embed_all(
    images: Tensor | Iterable[ImageLike], scorer: ClipScorer, **options: Any
) -> tuple[Tensor, list[Path | None], list[Skipped]]:
    """Embed images as one matrix, in the order of the input.

    Args:
        options: as of `embed`.

    Returns:
        The vectors ``[N, D]``, the files they belong to, and what was left out.

    Raises:
        InputError: as `embed`, or there is no image at all.
    """
    found: list[Embedded] = []
    with contextlib.closing(embed(images, scorer, **options)) as stream:
        for part in stream:
            found += part
    if not found:
        raise InputError("images must not be empty")
    found.sort(key=lambda e: e.index)
    rows = [e.vector for e in found if e.vector is not None]
    vectors = torch.stack(rows) if rows else torch.empty(0, scorer.length)
    skipped = [Skipped(e.index, e.source, e.reason) for e in found if e.vector is None]
    return vectors, [e.source for e in found if e.vector is not None], skipped


def store_for(folder: str | os.PathLike, scorer: ClipScorer) -> EmbeddingStore:
    """Return the store of a scorer's embeddings in `folder`, which need not exist yet.

    Raises:
        FileError: `folder` is a file, or cannot be read.
    """
    name = ",".join(m.name for m in scorer.models)
    return EmbeddingStore(folder, fingerprint=scorer.fingerprint, dim=scorer.length, model=name)
