"""EmbeddingStore: image embeddings by content and model, in Parquet files of one folder.

::

    FOLDER/<fingerprint>/model.json            name and embedding length of the model
    FOLDER/<fingerprint>/part-<digest>.parquet key, source and vector of some images

A part is written once, under a hidden name, and then moved; its name comes from its content. So
any number of processes may add at once, a killed one leaves nothing half-done, and adding the same
again changes nothing. Keys are held in memory, vectors stay on disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from guidance.conventions import check_count, check_shape
from guidance.embeddings import parts
from guidance.embeddings.contents import Contents
from guidance.embeddings.described import Model, choose, describe, save
from guidance.embeddings.keys import KEY as KEY
from guidance.embeddings.keys import as_keys, key_list
from guidance.embeddings.keys import content_key as content_key
from guidance.errors import FileError, InputError
from guidance.files.writing import make_folder

PART_BYTES = 128 << 20  # of the vectors of a file that `compact` writes
STALE = 3600  # seconds after which a hidden file is taken for the rest of a killed process


@dataclass(frozen=True)
class Batch:
    """Some images of a store.

    Attributes:
        keys: content keys.
        sources: where each image came from when it was added.
        vectors: ``[n, D]`` float32.
    """

    keys: list[bytes]
    sources: list[str]
    vectors: Tensor


class EmbeddingStore:
    """Embeddings of one model, found by the content of the image.

    Nothing is created before the first `add`. What other processes add is seen at the next call.

    Args:
        folder: of one or several models' embeddings.
        fingerprint: of the model (`ClipScorer.fingerprint`); the sub-folder's name.
        dim: length D of an embedding.
        model: its name, for messages.

    Raises:
        InputError: an argument is not allowed.
        FileError: the folder holds embeddings of another length, or cannot be read.

    Example:
        >>> store = EmbeddingStore("embeddings", fingerprint="0" * 32, dim=512)
        >>> store.find([content_key(b"an image file")])[0]
        []
    """

    def __init__(
        self, folder: str | os.PathLike, *, fingerprint: str, dim: int, model: str = ""
    ) -> None:
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}", fingerprint):
            raise InputError(
                f"fingerprint must be of letters, digits, - and _ but is {fingerprint!r}"
            )
        check_count("dim", dim, 1)
        self.root = Path(folder)
        self.folder = self.root / fingerprint
        self.fingerprint = fingerprint
        self.dim = int(dim)
        self.model = model
        self._contents = Contents(self.folder, self.dim)
        if self.root.exists() and not self.root.is_dir():
            raise FileError(f"{self.root} is a file, not a folder of embeddings")
        known = describe(self.folder)
        if known and known.dim != self.dim:
            raise FileError(f"{self.folder} holds embeddings of length {known.dim}, not {dim}")

    @staticmethod
    def open(folder: str | os.PathLike, fingerprint: str | None = None) -> EmbeddingStore:
        """Open the store that is in `folder`.

        Args:
            folder: as `EmbeddingStore` was given.
            fingerprint: of the model, or how it begins, or the model's name; needed if the folder
                holds embeddings of several.

        Raises:
            InputError: there is none, or it is not clear which; names those there are.
        """
        name, model = choose(Path(folder), fingerprint)
        return EmbeddingStore(folder, fingerprint=name, dim=model.dim, model=model.name)

    @property
    def damaged(self) -> tuple[Path, ...]:
        """Return the files that were found damaged, as they are named now (``*.damaged``).

        A warning was given of each, and their images count as unknown.
        """
        return self._contents.damaged

    def __len__(self) -> int:
        """Return how many images are known."""
        with self._contents.lock:
            self._contents.refresh()
            return len(self._contents.index)

    def find(self, keys: Sequence[bytes]) -> tuple[list[int], Tensor]:
        """Look up images by their content keys.

        Returns:
            The places in `keys` of those that are known, ascending, and their vectors ``[K, D]``
            float32.

        Raises:
            InputError: a key is not of 16 bytes.
            FileError: the folder cannot be read.
        """
        wanted = as_keys(keys)
        with self._contents.lock:
            while True:
                self._contents.refresh()
                places, files, rows = self._contents.index.find(wanted)
                vectors = np.empty((len(places), self.dim), np.float32)
                if self._contents.gather(files, rows, vectors):
                    return places.tolist(), torch.from_numpy(vectors)

    def add(self, keys: Sequence[bytes], vectors: Tensor, sources: Sequence[str]) -> None:
        """Add images, in one file; those that are known already stay as they are.

        Args:
            keys: content keys.
            vectors: ``[n, D]``, kept as float32.
            sources: where each comes from, for people to read.

        Raises:
            InputError: counts or shapes do not fit, or a vector is not finite.
            FileError: the folder cannot be written.
        """
        rows = as_keys(keys)
        check_shape("vectors", vectors, [len(rows), self.dim])
        if isinstance(sources, str) or len(sources) != len(rows):
            raise InputError(f"sources must be {len(rows)} texts, one for each key")
        values = vectors.detach().to("cpu", torch.float32)
        if not values.isfinite().all():
            raise InputError("vectors must be finite")
        with self._contents.lock:
            self._contents.refresh()
            # in the order of the keys, each once: the same images always make the same file
            unique, first = np.unique(rows, return_index=True)
            new: np.ndarray = first[~self._contents.index.known(unique)]
            if not len(new):
                return
            make_folder(self.folder)
            save(self.folder, Model(self.model, self.dim))
            texts = [os.fspath(sources[i]) for i in new.tolist()]
            self._contents.write(
                parts.Rows(rows[new], texts, values[torch.from_numpy(new)].numpy())
            )
            self._contents.refresh()

    def batches(self, size: int = 65536) -> Iterator[Batch]:
        """Give everything that is known now, `size` images at a time (the last may be fewer).

        Each key comes once, even while others add and compact; a damaged file is left out.
        """
        check_count("size", size, 1)
        for rows in parts.regroup(self._contents.rows(), size):
            yield Batch(key_list(rows.keys), rows.sources, torch.from_numpy(rows.vectors))

    def compact(self) -> None:
        """Write few large files instead of many small ones.

        Safe beside readers and writers: files are removed only when all they hold has been
        written again. Rests of killed processes that are older than an hour go as well.

        Raises:
            FileError: the folder cannot be written.
        """
        with self._contents.lock:
            self._contents.refresh()
            small = [
                name for name in self._contents.index.names if self._size(name) < PART_BYTES // 2
            ]
            after = set()
            if len(small) > 1:
                rows = max(1, PART_BYTES // (4 * self.dim))
                for part in parts.regroup(self._contents.rows(small), rows):
                    after.add(self._contents.write(part))
                hurt = {path.with_suffix(".parquet").name for path in self.damaged}
                for name in set(small) - after - hurt:
                    with contextlib.suppress(OSError):
                        (self.folder / name).unlink()
            for rest in self.folder.glob(".tmp-*"):
                with contextlib.suppress(OSError):
                    if time.time() - rest.stat().st_mtime > STALE:
                        rest.unlink()
            self._contents.refresh()

    def _size(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name).stat().st_size
        return 0
