"""What a folder of embeddings holds now, while others add, compact and damage its files."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from guidance.embeddings import parts
from guidance.embeddings.index import Index, locate
from guidance.embeddings.parts import DamagedError
from guidance.files.writing import atomic


class Contents:
    """The files of one model's embeddings; keys are held in memory, vectors stay on disk.

    Args:
        folder: of the files; it need not exist.
        dim: length D of an embedding.

    Attributes:
        index: where each key is, as of the last `refresh`.
        lock: is held while the index is looked at or changed.
        damaged: files that were found damaged, as they are named now.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        self.dim = dim
        self.index = Index()
        self.lock = threading.RLock()
        self.damaged: tuple[Path, ...] = ()
        self._skipped: set[str] = set()  # damaged files that could not be put aside
        self._cache = parts.Cache()

    def gather(self, files: np.ndarray, rows: np.ndarray, vectors: np.ndarray) -> bool:
        """Fill in `vectors`; False if a file is gone or damaged, so that all is to be redone."""
        for number in np.unique(files):
            here = files == number
            path = self.folder / self.index.names[number]
            try:
                vectors[here] = self._cache.vectors(path, rows[here], self.dim)
            except FileNotFoundError:
                return False
            except DamagedError as error:
                self._drop(path, error)
                return False
        return True

    def rows(self, names: Sequence[str] | None = None) -> Iterator[parts.Rows]:
        """Give what is known now (in the files `names`), a row group at a time, each key once."""
        with self.lock:
            self.refresh()
            left = list(self.index.names if names is None else names)
            wanted = self.index.keys_in(left)
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
                with self.lock:
                    self._drop(path, error)
            finished.add(path.name)
            if not path.exists():  # others have compacted: look for what is left in their files
                with self.lock:
                    self.refresh()
                    left = self.index.names
            left = [name for name in left if name not in finished]

    def refresh(self) -> None:
        """Bring the index up to date with the files that are there."""
        while True:
            names = parts.listing(self.folder, skip=self._skipped)
            known = set(self.index.names)
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
                self.index.extend(found)
                return

    def write(self, rows: parts.Rows) -> str:
        """Write rows as one file, and return its name."""
        name, data = parts.encode(rows)
        with atomic(self.folder / name) as temporary:
            temporary.write_bytes(data)
        self._skipped.discard(name)  # a damaged one of this name has been replaced
        return name

    def _forget(self) -> None:
        self.index, self._cache = Index(), parts.Cache()

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
