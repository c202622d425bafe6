"""Ranking embeddings: ours against the lines of numpy that are usually written for it.

The lines load all vectors, multiply them with each query and sort all scores; ours keeps the best
of blocks. Once with the vectors in memory already, once from files: an .npy file for numpy, an
`EmbeddingStore` for us, both written just before and so in the memory of the operating system.
"Peak" is what the memory of a fresh process grows by.

Usage:
    python -m benchmarks.ranking
    python -m benchmarks.ranking --quick
    python -m benchmarks.ranking --stored 200000 --queries 1,100
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import forget_peak, least_times, status
from guidance.embeddings.store import EmbeddingStore
from guidance.embeddings.topk import search, top

BLOCK = 20_000
PLAIN = "vectors.npy"


def usual(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Rank as it is usually written: sort all scores of each query."""
    return np.stack([np.argsort(-(vectors @ query))[:k] for query in queries])


def block(number: int, size: int, dim: int) -> Tensor:
    """Return some random unit vectors ``[size, dim]``, always the same."""
    generator = torch.Generator().manual_seed(number)
    return torch.nn.functional.normalize(torch.randn(size, dim, generator=generator), dim=-1)


def in_memory(count: int, dim: int, asked: Sequence[int], k: int, repeats: int) -> None:
    """Print seconds for vectors that are in memory."""
    sizes = [min(BLOCK, count - start) for start in range(0, count, BLOCK)]
    vectors = torch.cat([block(n, size, dim) for n, size in enumerate(sizes)])
    array = vectors.numpy()
    print(f"{count:,} vectors of length {dim} in memory, the best {k}, least of {repeats}")
    print(f"{'':24} {'seconds':>9} {'ratio':>7}")
    for queries in asked:
        wanted = block(-1, queries, dim)
        sides = {
            "numpy": partial(usual, array, wanted.numpy(), k),
            "top": partial(top, vectors, wanted, k),
        }
        seconds = least_times(sides, repeats)
        for side, value in seconds.items():
            name = f"{side}, {queries} {'query' if queries == 1 else 'queries'}"
            print(f"{name:24} {value:>9.3f} {seconds['numpy'] / value:>6.2f}x")
    print()


def write_store(folder: str, count: int, dim: int) -> EmbeddingStore:
    """Write random vectors to a store, and the same ones to an .npy file."""
    store = EmbeddingStore(folder, fingerprint="benchmark", dim=dim)
    array = np.lib.format.open_memmap(Path(folder) / PLAIN, "w+", np.float32, (count, dim))
    for number, start in enumerate(range(0, count, BLOCK)):
        places = range(start, min(start + BLOCK, count))
        vectors = block(number, len(places), dim)
        array[start : places.stop] = vectors.numpy()
        store.add([p.to_bytes(16, "big") for p in places], vectors, [f"{p}" for p in places])
    return store


def search_store(folder: str, query: np.ndarray, k: int) -> list[int]:
    """Rank what is in a store, opened anew."""
    store = EmbeddingStore.open(folder)
    return [int(source) for _, source in search(store, torch.from_numpy(query), k)[1][0]]


def sort_all(folder: str, query: np.ndarray, k: int) -> list[int]:
    """Rank what is in an .npy file."""
    return usual(np.load(Path(folder) / PLAIN), query, k)[0].tolist()


def measured(run: Callable, *args: object) -> tuple[list[int], float, float]:
    """Return the result of a run, its seconds and by how many MB memory grew."""
    with tempfile.TemporaryDirectory() as small:  # loads what is loaded at the first use
        write_store(small, 10, 8)
        search_store(small, block(0, 1, 8).numpy(), 2)
    before = status("VmRSS")
    forget_peak()
    started = time.perf_counter()
    result = run(*args)
    return result, time.perf_counter() - started, status("VmHWM") - before


def from_files(count: int, dim: int, k: int) -> None:
    """Print seconds and memory for vectors that are on disk."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        store = write_store(folder, count, dim)
        size = sum(path.stat().st_size for path in store.folder.iterdir()) / 1e6
        print(f"{count:,} vectors of length {dim} from files, the best {k} for one query")
        print(f"(the store took {time.perf_counter() - started:.0f} s to write, {size:.0f} MB)")
        print(f"{'':24} {'seconds':>9} {'peak MB':>9}")
        query = block(-1, 1, dim).numpy()
        found = []
        for name, run in {"store, search": search_store, "numpy": sort_all}.items():
            # a process of its own: this one still holds memory that it no longer uses
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                result, seconds, peak = pool.apply(measured, (run, folder, query, k))
            print(f"{name:24} {seconds:>9.2f} {peak:>9.0f}", flush=True)
            found.append(set(result))
        print(f"{len(found[0] & found[1])} of {k} are the same\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for vectors in memory and one for vectors in files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=100_000, help="in memory")
    parser.add_argument("--stored", type=int, default=1_000_000, help="in files")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--best", type=int, default=100)
    parser.add_argument("--queries", default="1,10")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="4,000 vectors of length 64")
    args = parser.parse_args(argv)
    if args.quick:
        args.vectors, args.stored, args.dim, args.repeats = 4000, 4000, 64, 1
    asked = [int(number) for number in args.queries.split(",")]
    in_memory(args.vectors, args.dim, asked, args.best, args.repeats)
    from_files(args.stored, args.dim, args.best)


if __name__ == "__main__":
    main()
