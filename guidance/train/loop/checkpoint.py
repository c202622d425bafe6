"""The file that a training resumes from: tensors, numbers and optimisers, read without pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from guidance.errors import FileError, line
from guidance.files.writing import atomic
from guidance.pretrained.eight_bit import load_weights


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` to `path` in one move."""
    with atomic(path) as temporary:
        torch.save(dict(state), temporary)


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what `path` holds: a checkpoint, or the weights of a ``.safetensors`` file alone.

    Those are on the CPU, a checkpoint on `device`.
    """
    if path.suffix == ".safetensors":
        return {"averaged": load_weights(path)}
    return torch.load(path, map_location=device, weights_only=True)


def restore(
    path: Path, device: torch.device, take: Callable[[dict[str, Any]], object], failure: str
) -> None:
    """Read `path` and give its content to `take`.

    Raises:
        FileError: `failure`, filled with the path, and what went wrong while reading or taking.
    """
    try:
        take(read(path, device))
    except Exception as error:  # pickle, zip, safetensors and torch raise a dozen types
        raise FileError(f"{failure.format(path)}: {line(error)}") from None
