"""Files inside the package: configs and the shipped weights, checked against their hashes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

from guidance.errors import ModelError

HASHES = "SHA256SUMS"


@contextlib.contextmanager
def pretrained(name: str) -> Generator[Path]:
    """Give the path of the weights file `name`, after a look at its SHA-256.

    Raises:
        ModelError: the file is missing or not the one that was shipped.
    """
    with packaged(f"pretrained/{HASHES}") as sums, packaged(f"pretrained/{name}") as path:
        if not path.is_file():
            raise ModelError(f"the weights {name} are missing; install the package again")
        lines = (line.split() for line in sums.read_text(encoding="utf-8").splitlines())
        known = {file: digest for digest, file in lines}
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read())
        if known.get(name) != digest.hexdigest():
            raise ModelError(
                f"the weights {name} are not the ones that were shipped; install the package again"
            )
        yield path


def packaged(name: str) -> AbstractContextManager[Path]:
    """Give the path of a file of the package, e.g. ``clip/configs/mini.json``, as a context."""
    return resources.as_file(resources.files("guidance") / name)
