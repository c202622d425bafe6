"""Real processes that share an embedding store, and what the store is then asserted to hold."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import torch

from guidance.embeddings import parts
from guidance.embeddings.store import EmbeddingStore, content_key

DIM = 24


def start(function: Callable, *args: object) -> multiprocessing.Process:
    """Start ``function(*args)`` in a process of its own, forked from a fresh interpreter."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["guidance.embeddings.store", "pyarrow.parquet"])
    process = context.Process(target=function, args=args, daemon=True)
    process.start()
    return process


def store(root: Path) -> EmbeddingStore:
    """Open the store of these tests."""
    torch.set_num_threads(1)
    return EmbeddingStore(root, fingerprint="0123abcd" * 4, dim=DIM, model="test")


def content(first: int, last: int) -> tuple[list[bytes], torch.Tensor, list[str]]:
    """Return key, vector and source of the images `first` to `last`: functions of the number."""
    numbers = range(first, last)
    keys = [content_key(str(n).encode()) for n in numbers]
    vectors = torch.stack([torch.arange(DIM) / DIM + n for n in numbers])
    return keys, vectors, [f"folder/{n}.jpg" for n in numbers]


def add_many(root: Path, first: int, last: int, step: int) -> None:
    """Add images `step` at a time."""
    shared = store(root)
    for number in range(first, last, step):
        shared.add(*content(number, min(number + step, last)))


def compact_many(root: Path, times: int) -> None:
    """Compact again and again."""
    shared = store(root)
    for _ in range(times):
        shared.compact()


def die_before_the_move(root: Path, first: int, last: int) -> None:
    """Add, and be killed when the file is written but not yet in its place."""
    replace = Path.replace

    def kill(self: Path, target: Path) -> Path:
        if Path(target).name.startswith("part-"):
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = kill
    store(root).add(*content(first, last))


def files(shared: EmbeddingStore) -> list[Path]:
    """Return the files of a store by name."""
    return sorted(shared.folder.glob("part-*.parquet"))


def parts_by_age(shared: EmbeddingStore) -> list[Path]:
    """Return the files of a store, oldest first."""
    return [shared.folder / name for name in parts.listing(shared.folder)]


def assert_holds(shared: EmbeddingStore, last: int, first: int = 0) -> None:
    """Assert that the images `first` to `last`, and no others, are there and right."""
    keys, vectors, sources = content(first, last)
    places, found = shared.find(keys)
    assert places == list(range(last - first))
    assert torch.equal(found, vectors)
    expected = {k: (s, v.tolist()) for k, s, v in zip(keys, sources, vectors, strict=True)}
    given = [
        (k, s, v.tolist())
        for batch in shared.batches(37)
        for k, s, v in zip(batch.keys, batch.sources, batch.vectors, strict=True)
    ]
    assert len(given) == len(shared) == last - first
    assert {k: (s, v) for k, s, v in given} == expected
