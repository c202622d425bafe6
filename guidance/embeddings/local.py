"""Images → unit vectors ``[n, D]``, batch by batch, with the cores and the GPU of this machine.

Threads hash and decode files a little ahead of the model and keep each picture only at the size
CLIP reads, so memory does not grow with the number of pictures or their sizes. Files are resized
in 8 bits, as CLIP was trained; on crops of photographs the scores of the mini model then differ
from those of open_clip's own transforms by 0.001 at most, and by 0.004 when resized in float.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.conventions import check_count
from guidance.converting import shown
from guidance.embeddings.prefetch import ahead
from guidance.embeddings.progress import bar
from guidance.embeddings.reading import Embedded as Embedded
from guidance.embeddings.reading import Item, Reader, items, with_key
from guidance.embeddings.store import EmbeddingStore
from guidance.errors import FileError, InputError, unknown
from guidance.images import ImageLike, hide_warnings

ENGINES = ("local", "ray")
FLUSH = 4096  # vectors that wait at most before they are written to the store


@dataclass(frozen=True)
class Skipped:
    """One image that could not be embedded, and why."""

    index: int
    source: Path | None
    reason: str


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
) -> Iterator[list[Embedded]]:
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
    return _embed(images, scorer, **options)


def embed_all(
    images: Tensor | Iterable[ImageLike], scorer: ClipScorer, **options: object
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
    good = [e for e in found if e.vector is not None]
    vectors = torch.stack([e.vector for e in good]) if good else torch.empty(0, length(scorer))
    skipped = [Skipped(e.index, e.source, e.reason) for e in found if e.vector is None]
    return vectors, [e.source for e in good], skipped


def store_for(folder: str | os.PathLike, scorer: ClipScorer) -> EmbeddingStore:
    """Return the store of a scorer's embeddings in `folder`, which need not exist yet.

    Raises:
        FileError: `folder` is a file, or cannot be read.
    """
    name = ",".join(m.name for m in scorer.models)
    return EmbeddingStore(folder, fingerprint=scorer.fingerprint, dim=length(scorer), model=name)


def check_engine(engine: str) -> None:
    """Raise `InputError` unless `engine` is one, and installed; nothing is imported."""
    if engine not in ENGINES:
        raise InputError(unknown("engine", engine, ENGINES))
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise InputError("--engine ray needs Ray: pip install 'clip-guidance[ray]'")


def check_store(folder: str | os.PathLike | None) -> None:
    """Raise `InputError` or `FileError` if `folder` cannot be one of embeddings; it may be new."""
    if folder is None:
        return
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder).strip():
        raise InputError(f"store must be a folder but is {shown(folder)}")
    try:
        if "\0" in os.fspath(folder):
            raise ValueError("it holds a NUL")
        taken = Path(folder).exists() and not Path(folder).is_dir()
    except (OSError, ValueError) as error:  # too long for a path, or with a NUL
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"store cannot be {shown(os.fspath(folder))}: {reason}") from None
    if taken:
        raise FileError(f"{folder} is a file, not a folder of embeddings")


def length(scorer: ClipScorer) -> int:
    """Return the length D of a scorer's embeddings."""
    return scorer.encode_text(["a"]).shape[-1]


def check_embedding(images: object, batch: int, workers: int) -> None:
    """Raise `InputError` unless these may be given to `embed`."""
    check_count("batch", batch, 1, 65536)
    check_count("workers", workers, 0, 64)
    if isinstance(images, str | os.PathLike | Image.Image) or not hasattr(images, "__iter__"):
        raise InputError(
            "images must be a tensor [N, 3, H, W] or an iterable of paths, PIL images or tensors "
            f"but is {type(images).__name__}"
        )


def check_all(
    images: object, batch: int, workers: int, store: str | os.PathLike | None, engine: str
) -> None:
    """Raise `InputError` or `FileError` unless images may be embedded in this way; load nothing."""
    check_embedding(images, batch, workers)
    check_store(store)
    check_engine(engine)


def _embed(
    images: Iterable[ImageLike],
    scorer: ClipScorer,
    batch: int,
    workers: int,
    store: EmbeddingStore | None,
    progress: bool,
) -> Iterator[list[Embedded]]:
    todo = items(images)
    with contextlib.ExitStack() as stack:
        stack.enter_context(hide_warnings())
        total = len(images) if hasattr(images, "__len__") else None
        advance = stack.enter_context(bar(total, progress))
        keep = stack.enter_context(_keeper(store))
        if store is not None:
            todo = stack.enter_context(contextlib.closing(_look_up(todo, store, batch, workers)))
        prepared = ahead(
            Reader(scorer),
            todo,
            workers=workers,
            depth=batch + 2 * workers,
            inline=lambda item: item.done is not None or isinstance(item.image, Tensor),
        )
        stack.enter_context(contextlib.closing(prepared))
        for part in _batches((item for _, item in prepared), Encoder(scorer), batch):
            keep(part)
            advance(len(part))
            yield [item.done for item in part]


def _look_up(
    todo: Iterator[Item], store: EmbeddingStore, batch: int, workers: int
) -> Iterator[Item]:
    """Give the items with their keys, and finished if the store knows them."""

    def found(chunk: list[Item]) -> Iterator[Item]:
        keyed = [n for n, item in enumerate(chunk) if item.key is not None]
        places, vectors = store.find([chunk[n].key for n in keyed])
        known = {keyed[place]: v for place, v in zip(places, vectors, strict=True)}
        for n, item in enumerate(chunk):
            yield item.found(known[n]) if n in known else item

    hashed = ahead(with_key, todo, workers=workers, depth=batch, inline=lambda i: i.source is None)
    with contextlib.closing(hashed):
        chunk: list[Item] = []
        for _, item in hashed:
            if item.source is None:  # may be large, and is let go as soon as it is prepared
                yield item
                continue
            chunk.append(item)
            if len(chunk) == batch:
                yield from found(chunk)
                chunk = []
        if chunk:
            yield from found(chunk)


def _batches(prepared: Iterator[Item], encoder: Encoder, batch: int) -> Iterator[list[Item]]:
    """Give the items with what became of them."""
    waiting: list[Item] = []
    done: list[Item] = []
    for item in prepared:
        (waiting if item.done is None else done).append(item)
        if len(waiting) == batch:
            yield from encoder.put(waiting)
            waiting = []
        if len(done) == batch:
            yield done
            done = []
    if waiting:
        yield from encoder.put(waiting)
    yield from encoder.rest()
    if done:
        yield done


class Encoder:
    """Runs the models on prepared images; on CUDA one batch runs while the next is put together."""

    def __init__(self, scorer: ClipScorer):
        self.scorer = scorer
        self.cuda = scorer.device.type == "cuda"
        self.running: deque[tuple[list[Item], Tensor]] = deque()

    def put(self, batch: list[Item]) -> Iterator[list[Item]]:
        """Begin with a batch; give those that are finished."""
        with torch.no_grad():
            self.running.append((batch, self._vectors(batch)))
        while len(self.running) > int(self.cuda):
            yield self._finish()

    def rest(self) -> Iterator[list[Item]]:
        """Give what is still under way."""
        while self.running:
            yield self._finish()

    def _vectors(self, batch: list[Item]) -> Tensor:
        inputs: dict[object, Tensor] = {}  # models with the same preprocessing share theirs
        parts = []
        for number, model in enumerate(self.scorer.models):
            if model.preprocess not in inputs:
                pixels = [item.pixels[number] for item in batch]
                inputs[model.preprocess] = self._stack(pixels, model.device)
            parts.append(model.encode_image(inputs[model.preprocess]))
        return self.scorer.join(parts)

    def _stack(self, pixels: Sequence[Tensor], device: torch.device) -> Tensor:
        """Return a batch in [0, 1] on the device; pixels of 8 bits travel as such."""
        if len({p.dtype for p in pixels}) > 1:
            pixels = [p if p.is_floating_point() else p.float().div_(255) for p in pixels]
        if len({p.device for p in pixels}) > 1:
            pixels = [p.to(device) for p in pixels]
        images = torch.stack(pixels)
        if self.cuda and images.device.type == "cpu":
            images = images.pin_memory()
        images = images.to(device, non_blocking=True)
        return images if images.is_floating_point() else images.float().div_(255)

    def _finish(self) -> list[Item]:
        batch, vectors = self.running.popleft()
        vectors = vectors.float().cpu()
        finite = vectors.isfinite().all(1).tolist()  # half precision can overflow inside
        reason = "has an embedding that is not finite"
        return [
            item.finish(vector=v) if ok else item.finish(reason=reason)
            for item, v, ok in zip(batch, vectors, finite, strict=True)
        ]


@contextlib.contextmanager
def _keeper(store: EmbeddingStore | None) -> Iterator[Callable[[list[Item]], None]]:
    """Give a function that writes new vectors to the store, many at once, and the rest at exit."""
    new: list[Item] = []

    def flush() -> None:
        if new and store is not None:
            vectors = torch.stack([item.done.vector for item in new])
            store.add([i.key for i in new], vectors, [str(i.source) for i in new])
        new.clear()

    def keep(part: list[Item]) -> None:
        new.extend(i for i in part if i.key and i.done.vector is not None)
        if len(new) >= FLUSH:
            flush()

    try:
        yield keep
    finally:
        flush()
