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
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from guidance.conventions import check_count, check_shape
from guidance.embeddings import parts
from guidance.embeddings.described import Model, choose, describe, save
from guidance.embeddings.index import Index, locate
from guidance.embeddings.keys import KEY as KEY
from guidance.embeddings.keys import as_keys, key_list
from guidance.embeddings.keys import content_key as content_key
from guidance.embeddings.parts import DamagedError
from guidance.errors import FileError, InputError
from guidance.files.writing import atomic, make_folder

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

    Attributes:
        damaged: files that were found damaged, as they are named now (``*.damaged``). A warning
            was given, and their images count as unknown.

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
        self.damaged: tuple[Path, ...] = ()
        self._skipped: set[str] = set()  # damaged files that could not be put aside
        self._index = Index()
        self._cache = parts.Cache()
        self._lock = threading.RLock()
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

    def __len__(self) -> int:
        """Return how many images are known."""
        with self._lock:
            self._refresh()
            return len(self._index)

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
        with self._lock:
            while True:
                self._refresh()
                places, files, rows = self._index.find(wanted)
                vectors = np.empty((len(places), self.dim), np.float32)
                if self._gather(files, rows, vectors):
                    return places.tolist(), torch.from_numpy(vectors)

    def _gather(self, files: np.ndarray, rows: np.ndarray, vectors: np.ndarray) -> bool:
        """Fill in `vectors`; False if a file is gone or damaged, so that all is to be redone."""
        for number in np.unique(files):
            here = files == number
            path = self.folder / self._index.names[number]
            try:
                vectors[here] = self._cache.vectors(path, rows[here], self.dim)
            except FileNotFoundError:
                return False
            except DamagedError as error:
                self._drop(path, error)
                return False
        return True

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
        with self._lock:
            self._refresh()
            # in the order of the keys, each once: the same images always make the same file
            unique, first = np.unique(rows, return_index=True)
            new = first[~self._index.known(unique)]
            if not len(new):
                return
            make_folder(self.folder)
            save(self.folder, Model(self.model, self.dim))
            texts = [os.fspath(sources[i]) for i in new.tolist()]
            self._write(parts.Rows(rows[new], texts, values[torch.from_numpy(new)].numpy()))
            self._refresh()

    def batches(self, size: int = 65536) -> Iterator[Batch]:
        """Give everything that is known now, `size` images at a time (the last may be fewer).

        Each key comes once, even while others add and compact; a damaged file is left out.
        """
        check_count("size", size, 1)
        for rows in parts.regroup(self._rows(), size):
            yield Batch(key_list(rows.keys), rows.sources, torch.from_numpy(rows.vectors))

    def _rows(self, names: Sequence[str] | None = None) -> Iterator[parts.Rows]:
        """Give what is known now (in the files `names`), a row group at a time, each key once."""
        with self._lock:
            self._refresh()
            left = list(self._index.names if names is None else names)
            wanted = self._index.keys_in(left)
        done = np.zeros(len(wanted), bool)
        finished: set[str] = set()
        while left and not done.all():
            path = self.folder / left[0]
            try:
                for rows in parts.read(path, self.dim):
                    place, new = locate(wanted, rows.keys)
                    new &= ~done[place]
                    done[place[new]] = True
                    if new.any():
                        yield rows.take(new)
            except FileNotFoundError:
                pass
            except DamagedError as error:
                with self._lock:
                    self._drop(path, error)
            finished.add(path.name)
            if not path.exists():  # others have compacted: look for what is left in their files
                with self._lock:
                    self._refresh()
                    left = self._index.names
            left = [name for name in left if name not in finished]

    def compact(self) -> None:
        """Write few large files instead of many small ones.

        Safe beside readers and writers: files are removed only when all they hold has been
        written again. Rests of killed processes that are older than an hour go as well.

        Raises:
            FileError: the folder cannot be written.
        """
        with self._lock:
            self._refresh()
            small = [name for name in self._index.names if self._size(name) < PART_BYTES // 2]
            after = set()
            if len(small) > 1:
                rows = max(1, PART_BYTES // (4 * self.dim))
                for part in parts.regroup(self._rows(small), rows):
                    after.add(self._write(part))
                hurt = {path.with_suffix(".parquet").name for path in self.damaged}
                for name in set(small) - after - hurt:
                    with contextlib.suppress(OSError):
                        (self.folder / name).unlink()
            for rest in self.folder.glob(".tmp-*"):
                with contextlib.suppress(OSError):
                    if time.time() - rest.stat().st_mtime > STALE:
                        rest.unlink()
            self._refresh()

    def _size(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name).stat().st_size
        return 0

    def _refresh(self) -> None:
        """Bring the index up to date with the files that are there."""
        while True:
            names = parts.listing(self.folder, skip=self._skipped)
            known = set(self._index.names)
            if not known or not known <= set(names):  # compacted or deleted by others
                names = parts.settled(self.folder, skip=self._skipped)
                self._forget()
                known = set()
            found = []
            for name in names:
                if name not in known:
                    path = self.folder / name
                    try:
                        found.append((name, parts.keys(path, self.dim)))
                    except FileNotFoundError:
                        break
                    except DamagedError as error:
                        self._drop(path, error)
                        break
            else:
                self._index.extend(found)
                return

    def _forget(self) -> None:
        self._index, self._cache = Index(), parts.Cache()

    def _drop(self, path: Path, error: Exception) -> None:
        """Put a damaged file aside, forget what it holds, and warn."""
        aside = path.with_suffix(".damaged")
        try:
            path.replace(aside)
        except OSError:
            if path.exists():  # in a folder that cannot be written
                self._skipped.add(path.name)
                aside = path
        self.damaged += (aside,)
        self._forget()
        warnings.warn(
            f"the embeddings in {path} are damaged ({error}); they will be computed again",
            stacklevel=2,
        )

    def _write(self, rows: parts.Rows) -> str:
        name, data = parts.encode(rows)
        with atomic(self.folder / name) as temporary:
            temporary.write_bytes(data)
        self._skipped.discard(name)
        return name
