"""Content keys: what an image is known by, whatever it is called and wherever it lies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from guidance.errors import FileError, InputError

KEY = 16  # bytes of a content key
READER = b"reader 2"  # the first one ignored colour profiles: its vectors are not found again
KEYS = np.dtype(f"S{KEY}")  # of arrays; single elements lose trailing zeros, hence `key_list`


def content_key(source: str | os.PathLike | bytes) -> bytes:
    """Return the 16 bytes that stand for the content of a file, or for bytes: BLAKE2b.

    They change with how pictures are read, so that a store gives no vector of another reading.

    Raises:
        FileError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=KEY, person=READER)
    if isinstance(source, bytes):
        digest.update(source)
        return digest.digest()
    try:
        with open(source, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot read {os.fspath(source)}: {reason}") from error
    return digest.digest()


def as_keys(keys: Sequence[bytes]) -> np.ndarray:
    """Return content keys as an array ``[n]`` of `KEYS`.

    Raises:
        InputError: one is not of 16 bytes.
    """
    keys = list(keys)
    if not all(isinstance(key, bytes) and len(key) == KEY for key in keys):
        raise InputError(f"keys must be of {KEY} bytes each, from content_key")
    return np.frombuffer(b"".join(keys), KEYS)


def key_list(keys: np.ndarray) -> list[bytes]:
    """Return an array of keys as bytes."""
    data = keys.tobytes()
    return [data[i : i + KEY] for i in range(0, len(data), KEY)]
