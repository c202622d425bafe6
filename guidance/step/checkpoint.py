"""Atomic save and exact resume of a run: its state and its step, in safetensors.

No random state is stored: each step derives its own seed (`conventions.derive_seed`).
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guidance.errors import CheckpointError, FileError, line
from guidance.files.writing import atomic, is_regular
from guidance.step.generator import Generator

FORMAT = "guidance-run-1"
MOST_TIMES = 64  # as many numbers as a state may a file have, with what optimisers remember


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


def load(
    path: str | os.PathLike, generator: Generator, fingerprint: str, steps: int | None = None
) -> int:
    """Restore `generator` and its optimiser, if any; return the number of steps already done.

    Args:
        steps: of the whole run; None does not limit what is done.

    Raises:
        CheckpointError: the file is missing, damaged, or of a run with other options.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not os.path.lexists(path):
        raise CheckpointError(f"there is no checkpoint {path} to resume from")
    if not is_regular(path):
        raise CheckpointError(f"the checkpoint {path} is not a file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_origin(path, metadata, fingerprint)
            _check_volume(path, file, generator)
            # copies: what is still a part of the file keeps it open
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"the checkpoint {path} is damaged: {line(error)}") from error
    try:
        done = _step(metadata, steps)
        _restore(generator, tensors, metadata)
    except MemoryError:
        raise
    except Exception as error:  # whatever a wrong state does to somebody's generator or optimiser
        raise CheckpointError(
            f"the checkpoint {path} does not fit its run: {line(error)}"
        ) from error
    return done


def _check_origin(path: Path, metadata: Mapping[str, str], fingerprint: str) -> None:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of a run ({FORMAT})")
    if metadata.get("fingerprint") != fingerprint:
        raise CheckpointError(f"the checkpoint {path} belongs to a run with other options")


def _check_volume(path: Path, file: Any, generator: Generator) -> None:
    """Refuse a file with far more numbers than the generator has, before they are read."""
    own = sum(value.numel() for value in generator.state_dict().values())
    found = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    if found > MOST_TIMES * own + 10_000:
        raise CheckpointError(
            f"the checkpoint {path} does not fit its run: it has {found} numbers, the state {own}"
        )


def _step(metadata: Mapping[str, str], steps: int | None) -> int:
    text = metadata["step"]
    if not re.fullmatch("[0-9]{1,12}", text):
        raise ValueError(f"the step {text[:40]!r} is not a whole number")
    if steps is not None and int(text) > steps:
        raise ValueError(f"{int(text)} of {steps} steps are done")
    return int(text)


def _restore(
    generator: Generator, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Put the state into `generator`; raise any error if it does not fit."""
    model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    _check_values(generator.state_dict(), model)
    optimiser = _optimiser_state(tensors, metadata)
    generator.load_state_dict(model)
    optimizer = getattr(generator, "optimizer", None)
    if optimizer is not None:
        _check_groups(optimizer.param_groups, optimiser["param_groups"])
        optimizer.load_state_dict(optimiser)
        _check_optimizer(optimizer)


def _check_values(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Compare with the state at the start, as to shapes, types and being finite."""
    for name, value in found.items():
        start = own.get(name)
        if start is None:
            continue
        if value.shape != start.shape:
            raise ValueError(f"{name} has shape {list(value.shape)} instead of {list(start.shape)}")
        if value.dtype != start.dtype:
            raise ValueError(f"{name} is {value.dtype} instead of {start.dtype}")
        finite = bool(start.isfinite().all())
        if finite and not bool(value.isfinite().all()):
            raise ValueError(f"{name} has values that are not finite")


def _check_groups(own: Sequence[Mapping], found: Sequence[Mapping]) -> None:
    """Compare the groups of parameters with those at the start, as to keys and names."""
    for start, group in zip(own, found, strict=True):
        if start.keys() != group.keys():
            raise ValueError("the groups of the optimiser have other entries")
        for key, value in start.items():
            if isinstance(value, str) and value != group[key]:
                raise ValueError(f"a group of the optimiser has another {key}")


def _check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Let a copy take a step along no gradient: with a wrong state it fails or goes astray."""
    trial = copy.deepcopy(optimizer)
    values = [p for group in trial.param_groups for p in group["params"]]
    for value in values:
        value.grad = torch.zeros_like(value)
    trial.step()
    if not all(bool(value.isfinite().all()) for value in values):
        raise ValueError("a step of the optimiser gives values that are not finite")


def _optimiser_state(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Any]:
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
