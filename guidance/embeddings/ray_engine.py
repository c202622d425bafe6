"""Embedding on a Ray cluster: Ray Data hands out the files, actors hold the model.

Each actor reads, decodes and embeds as `guidance.embeddings.local` does and writes what is new to
the store, whose files are named by their content and hold each key once. So when a worker dies and
Ray does its files again elsewhere, nothing is lost and nothing is there twice. Vectors come back to
the caller in pieces, to be ranked as they arrive.

Every machine of the cluster needs this package, and the files (and the store, if there is one)
under the same paths: a shared file system.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from guidance.embeddings.local import embed_local
from guidance.embeddings.progress import bar
from guidance.embeddings.results import Embedded
from guidance.embeddings.store import EmbeddingStore
from guidance.errors import GuidanceError, InputError, line
from guidance.images import ImageLike

if TYPE_CHECKING:
    from guidance.clip.scorer import ClipScorer

GROUP = 16  # batches that an actor takes at once, at most; it is what is done again if one dies
FAILED = -1  # the index of a row that tells of an error
CORES = 8  # of a model on a machine without a GPU, at most
PARTS = 4  # at least so many groups for each actor, so that none idles for long at the end


def embed_ray(
    images: Iterable[ImageLike],
    scorer: ClipScorer,
    *,
    batch: int = 32,
    workers: int = 2,
    store: EmbeddingStore | None = None,
    progress: bool = False,
    address: str | None = None,
) -> Generator[list[Embedded]]:
    """Embed files as `guidance.embeddings.embed.embed` does, on a cluster.

    Args:
        images: paths; all are read before the work begins.
        workers: threads that decode, of each actor.
        address: of the cluster, ``"auto"`` for the one this machine belongs to; None uses Ray as
            it is connected already, or else starts it on this machine for as long as it takes.

    Raises:
        InputError: an image is not a file, at once; or there is no cluster at `address`.
        GuidanceError: what failed in an actor, e.g. the store cannot be written.
    """
    paths: list[str | os.PathLike] = []
    for image in images:
        if not isinstance(image, str | os.PathLike):
            raise InputError(f"the engine ray takes files only but got a {type(image).__name__}")
        paths.append(image)
    return _embed(paths, scorer, batch, workers, store, progress, address)


def _embed(
    paths: list[str | os.PathLike],
    scorer: ClipScorer,
    batch: int,
    workers: int,
    store: EmbeddingStore | None,
    progress: bool,
    address: str | None,
) -> Generator[list[Embedded]]:
    if not paths:
        return
    with _connected(address), bar(len(paths), progress) as advance:
        import ray
        from ray.exceptions import RayError

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.enable_operator_progress_bars = False
        most, needs = _actors(scorer.device.type == "cuda")
        size = max(batch, min(GROUP * batch, -(-len(paths) // (PARTS * most))))
        rows = ray.data.from_items(
            [{"index": n, "path": os.fsencode(path)} for n, path in enumerate(paths)],
            override_num_blocks=-(-len(paths) // size),
        ).map_batches(
            _Actor,
            batch_size=None,
            fn_constructor_args=(ray.put(_portable(scorer)), batch, workers, _place(store)),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
            **needs,
        )
        try:
            for part in rows.iter_batches(batch_size=None, prefetch_batches=1):
                advance(len(part["index"]))
                yield _results(part, paths)
        except RayError as error:
            last = next(reversed(str(error).strip().splitlines()), "")  # before it are traces
            raise GuidanceError(f"Ray gave up: {line(Exception(last))}") from error


class _Actor:
    """Embeds groups of files; lives in a process of its own, with the model."""

    def __init__(self, scorer: Any, batch: int, workers: int, place: tuple | None):
        import ray

        self.scorer: ClipScorer = ray.get(scorer) if isinstance(scorer, ray.ObjectRef) else scorer
        if torch.cuda.is_available() and ray.get_gpu_ids():
            for model in self.scorer.models:
                model.to("cuda")
        self.length = self.scorer.length
        self.options: dict[str, Any] = {"batch": batch, "workers": workers}
        if place is not None:
            folder, fingerprint, dim, name = place
            self.options["store"] = EmbeddingStore(
                folder, fingerprint=fingerprint, dim=dim, model=name
            )

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return index, vector and reason of each file, in any order; or one row with an error."""
        places = rows["index"].tolist()
        files = [Path(os.fsdecode(path)) for path in rows["path"].tolist()]
        try:
            with contextlib.closing(embed_local(files, self.scorer, **self.options)) as stream:
                done = [e for part in stream for e in part]
        except GuidanceError as error:  # Ray would do it again, then show its own stack traces
            done, places = [Embedded(0, None, reason=str(error))], [FAILED]
        vectors = np.zeros((len(done), self.length), np.float32)
        for row, e in zip(vectors, done, strict=True):
            if e.vector is not None:
                row[:] = e.vector.numpy()
        return {
            "index": np.array([places[e.index] for e in done]),
            "vector": vectors,
            "reason": np.array([e.reason for e in done], dtype=object),
        }


def _results(part: dict[str, np.ndarray], paths: list[str | os.PathLike]) -> list[Embedded]:
    if part["index"][0] == FAILED:
        raise GuidanceError(part["reason"][0])
    vectors = torch.from_numpy(np.stack(list(part["vector"])).astype(np.float32))
    return [
        Embedded(n, Path(paths[n]), reason=reason) if reason else Embedded(n, Path(paths[n]), v)
        for n, v, reason in zip(
            part["index"].tolist(), vectors, part["reason"].tolist(), strict=True
        )
    ]


def _actors(gpu: bool) -> tuple[int, dict[str, int]]:
    """Return how many models the cluster has room for, and what each takes: a GPU, or cores.

    Ray lets an actor's arithmetic use as many threads as it takes cores.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpu:
        return max(1, int(sum(n.get("GPU", 0) for n in nodes))), {"num_gpus": 1}
    cores = [int(n.get("CPU", 0)) for n in nodes]
    each = max(1, min([CORES, *(c for c in cores if c)]))
    return max(1, sum(c // each for c in cores)), {"num_cpus": each}


def _portable(scorer: ClipScorer) -> ClipScorer:
    """Return the scorer on the CPU, so that any machine can load it."""
    if scorer.device.type == "cpu":
        return scorer
    scorer = copy.deepcopy(scorer)
    for model in scorer.models:
        model.to("cpu")
    return scorer


def _place(store: EmbeddingStore | None) -> tuple | None:
    """Return what another process needs to open the same store."""
    if store is None:
        return None
    return str(store.root.resolve()), store.fingerprint, store.dim, store.model


@contextlib.contextmanager
def _connected(address: str | None) -> Generator[None]:
    """Connect to Ray, and leave it as it was found; it reports nothing to anyone."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(
            address or "local",
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises plain ones too
        if address is None:
            raise GuidanceError(f"Ray does not start on this machine: {line(error)}") from error
        raise InputError(f"no Ray cluster answers at {address!r}: {line(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()
