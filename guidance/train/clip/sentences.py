"""Texts with their sentence embeddings, in memory and on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from guidance.errors import FileError, InputError, counted
from guidance.files.writing import atomic, write


@dataclass(frozen=True)
class SentenceTable:
    """`texts` and their unit embeddings, float16 ``[T, D]``.

    On disk a folder with ``texts.txt``, one a line, and ``embeddings.npy``.
    """

    texts: list[str]
    embeddings: Tensor

    def save(self, folder: Path) -> None:
        """Write the table into `folder`."""
        write(folder / "texts.txt", "".join(" ".join(t.split()) + "\n" for t in self.texts))
        with atomic(folder / "embeddings.npy") as path:
            np.save(path, self.embeddings.half().numpy())

    @classmethod
    def load(cls, folder: Path) -> SentenceTable:
        """Read the table of `folder`.

        Raises:
            InputError: there is none.
            FileError: its two files do not fit.
        """
        files = [folder / "texts.txt", folder / "embeddings.npy"]
        for path in files:
            if not path.is_file():
                raise InputError(f"sentences: {path} does not exist")
        texts = files[0].read_text(encoding="utf-8").splitlines()
        embeddings = torch.from_numpy(np.load(files[1]))
        if len(texts) != len(embeddings):
            raise FileError(f"{folder}: {len(texts)} texts do not fit {len(embeddings)} embeddings")
        return cls(texts, embeddings)

    def rows(self, texts: list[str]) -> Tensor:
        """Return the row of each of `texts`, int64 ``[N]``.

        Raises:
            InputError: one has no embedding.
        """
        places = {" ".join(t.split()): i for i, t in enumerate(self.texts)}
        found = [places.get(" ".join(t.split())) for t in texts]
        missing = [t for t, f in zip(texts, found, strict=True) if f is None]
        if missing:
            raise InputError(
                f"sentences: {len(missing)} of {counted(len(texts), 'caption')} without embedding, "
                f"first {missing[0]!r}; run python -m guidance.train.text embed on this data"
            )
        return torch.tensor(found)
