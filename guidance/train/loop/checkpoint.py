"""The file that a training resumes from: tensors, numbers and optimisers, read without pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from guidance.errors import FileError, line
from guidance.files.writing import atomic


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` to `path` in one move."""
    with atomic(path) as temporary:
        torch.save(dict(state), temporary)


def restore(
    path: Path, device: torch.device, take: Callable[[dict[str, Any]], None], failure: str
) -> None:
    """Read `path` and give its content to `take`.

    Raises:
        FileError: `failure`, filled with the path, and what went wrong while reading or taking.
    """
    try:
        take(torch.load(path, map_location=device, weights_only=True))
    except Exception as error:  # pickle, zip and torch raise a dozen types
        raise FileError(f"{failure.format(path)}: {line(error)}") from None
