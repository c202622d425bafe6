"""Weights in 8 bits: a state dict ↔ a safetensors file of half the size, read by `load_weights`.

Large weights are whole numbers of -127 to 127 with a scale for each output channel, of a table for
each row (symmetric quantisation by channel, Krishnamoorthi 2018, arXiv:1806.08342): a number is off
by 1/254 of the largest in its channel at most. Measured in the mini models, one scale for a whole
tensor makes what they compute about twice as wrong, and to search for scales that cut off the
largest numbers changes nothing.

The numbers are the entry NAME, int8; the scales are NAME.scale, float32, with as many dimensions,
all of length 1 but that of the channels: the weight is their product. The file's header says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from guidance.errors import InputError, ModelError, line
from guidance.files.writing import atomic

HEADER = {"format": "guidance-int8", "version": "1"}
SCALE = ".scale"
# Tensors of fewer numbers stay in 16 bits. First and last layers are small and matter most: with
# 4,096 here, which saves 1 MB of 40, the mini diffusion model is off three times as far.
LEAST = 2**15
LEAST_ROW = 32  # numbers that share a scale; for fewer (codes, depthwise kernels) little is saved
_COLUMNS = ("text_projection", "proj")  # parameters of open_clip that are used as x @ weight


def pack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with its large weights in 8 bits and other floating-point entries in 16.

    What float16 cannot hold is kept in float32; integers stay as they are.

    Raises:
        InputError: a weight is not finite, or an entry looks as if it were packed already.
    """
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.dtype == torch.int8:
            raise InputError(f"{name} is in 8 bits already")
        if not value.is_floating_point():
            packed[name] = value
            continue
        axis = channels(name, state)
        if value.numel() < LEAST or value.numel() < LEAST_ROW * value.shape[axis]:
            packed[name] = _half(value)
            continue
        if name + SCALE in state:
            raise InputError(f"{name}{SCALE} is an entry already")
        packed[name], packed[name + SCALE] = _round(name, value.float(), axis)
    return packed


def unpack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what `pack` was given: weights of 8 bits as float32, all else as it is in `state`.

    Nothing becomes larger than four times what it was.

    Raises:
        ModelError: a scale is missing or does not fit its numbers.
    """
    whole: dict[str, Tensor] = {}
    for name, value in state.items():
        base = name.removesuffix(SCALE)
        if base != name and base in state and state[base].dtype == torch.int8:
            continue
        if value.dtype == torch.int8:
            value = value.float() * _checked_scale(name, state)
        whole[name] = value
    return whole


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file of weights, those in 8 bits as float32 and all others as they are.

    Returns:
        Tensors on the CPU that may be mapped from the file: copy what is to be kept or changed.

    Raises:
        ModelError: the file is damaged, or packed in a way that this version does not know.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get("format") != HEADER["format"]:
            return state
        if (version := header.get("version")) != HEADER["version"]:
            raise ModelError(
                f"it is packed in version {version} of 8 bits, of which version "
                f"{HEADER['version']} is known; update guidance"
            )
        return unpack(state)
    except Exception as error:  # safetensors' errors share no base with Python's
        raise ModelError(f"{path} is not a readable checkpoint: {line(error)}") from error


def save_packed(
    state: Mapping[str, Tensor], path: str | Path, facts: Mapping[str, str] | None = None
) -> None:
    """Write what `pack` returned as a file for `load_weights`, in one move.

    Args:
        facts: what else the file's header says.
    """
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        header = {**(facts or {}), **HEADER}
        save_file({k: v.cpu().contiguous() for k, v in state.items()}, temporary, header)


def channels(name: str, state: Mapping[str, Tensor]) -> int:
    """Return the dimension of the output channels of the entry `name`, of a table its rows.

    It is the first one but for parameters that are multiplied from the right, and for transposed
    convolutions, which a state dict shows by their bias alone: as long as the second dimension, not
    as the first. A wrong guess costs accuracy and nothing else, for the file says how it was.
    """
    value = state[name]
    if name.rpartition(".")[2] in _COLUMNS:
        return max(0, value.ndim - 1)
    bias = state.get(name.removesuffix("weight") + "bias") if name.endswith("weight") else None
    if bias is not None and value.ndim > 2:
        count, (first, second) = bias.numel(), value.shape[:2]
        return int(count == second != first)
    return 0


def _round(name: str, value: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return int8 numbers and scales of a float32 weight."""
    if not bool(value.isfinite().all()):
        raise InputError(f"{name} holds numbers that are not finite")
    rest = [d for d in range(value.ndim) if d != axis]
    scale = (value.abs().amax(rest, keepdim=True) / 127).clamp(min=torch.finfo(value.dtype).tiny)
    return (value / scale).round().clamp(-127, 127).to(torch.int8), scale


def _half(value: Tensor) -> Tensor:
    half = value.to(torch.float16)
    return half if bool(half.isfinite().all()) else value.float()


def _checked_scale(name: str, state: Mapping[str, Tensor]) -> Tensor:
    """Return the scale of the entry `name`, which is in 8 bits."""
    shape = tuple(state[name].shape)
    if (scale := state.get(name + SCALE)) is None:
        raise ModelError(f"its {name!r:.60} is in 8 bits but has no scale")
    given = tuple(scale.shape)
    fits = [tuple(n if d == axis else 1 for d, n in enumerate(shape)) for axis in range(len(shape))]
    if given not in fits:
        raise ModelError(
            f"its {name!r:.60} has a scale of shape {given}, which fits no dimension of {shape}"
        )
    if scale.dtype != torch.float32 or not bool(scale.isfinite().all()):
        raise ModelError(f"its {name!r:.60} has a scale that is not of finite float32 numbers")
    return scale
