"""What is checked before images are embedded; nothing is loaded for it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from PIL import Image

from guidance.conventions import check_count
from guidance.converting import shown
from guidance.errors import FileError, InputError, unknown

ENGINES = ("local", "ray")


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
