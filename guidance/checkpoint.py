"""Atomic save and exact resume of a run: its state and its step, in safetensors.

No random state is stored: each step derives its own seed (`conventions.derive_seed`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch import Tensor

from guidance.errors import CheckpointError, FileError
from guidance.files import atomic
from guidance.generator import Generator

FORMAT = "guidance-run-1"


def save(path: str | os.PathLike, generator: Generator, step: int, fingerprint: str) -> None:
    """Write the state after `step` steps.

    Args:
        fingerprint: identifies the options of the run; `load` refuses another one.

    Raises:
        FileError: the file cannot be written; an older checkpoint of the name is kept.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    optimizer = getattr(generator, "optimizer", None)  # some generators need none
    optimiser = optimizer.state_dict() if optimizer else {"state": {}, "param_groups": []}
    tensors = {f"model.{k}": v for k, v in generator.state_dict().items()}
    plain: dict[str, dict[str, object]] = {}
    for index, state in optimiser["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                plain.setdefault(str(index), {})[key] = value
    metadata = {
        "format": FORMAT,
        "step": str(step),
        "fingerprint": fingerprint,
        "groups": json.dumps(optimiser["param_groups"]),
        "plain": json.dumps(plain),
    }
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # wraps the OSError of a full disk
            raise FileError(f"cannot write {path}: {error}") from error


def load(path: str | os.PathLike, generator: Generator, fingerprint: str) -> int:
    """Restore `generator` and its optimiser, if any; return the number of steps already done.

    Raises:
        CheckpointError: the file is missing, damaged, or of a run with other options.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path} to resume from")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"the checkpoint {path} is damaged: {error}") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of a run ({FORMAT})")
    if metadata.get("fingerprint") != fingerprint:
        raise CheckpointError(f"the checkpoint {path} belongs to a run with other options")
    model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    try:
        step, optimiser = int(metadata["step"]), _optimiser_state(tensors, metadata)
        generator.load_state_dict(model)
        if (optimizer := getattr(generator, "optimizer", None)) is not None:
            optimizer.load_state_dict(optimiser)
    except (RuntimeError, ValueError, KeyError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise CheckpointError(f"the checkpoint {path} does not fit its run: {first}") from error
    return step


def _optimiser_state(tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, object]:
    """Put together what `save` took apart."""
    state: dict[int, dict[str, object]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state.setdefault(int(index), {})[key] = value
    for index, values in json.loads(metadata["plain"]).items():
        state.setdefault(int(index), {}).update(values)
    return {"state": state, "param_groups": json.loads(metadata["groups"])}
