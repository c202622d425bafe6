"""Checkpoints in the forms in which people publish them, and what must be loaded of each."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

FORMS = ("plain", "parallel", "half", "safetensors", "legacy", "lightning")


def write_form(folder: Path, form: str, state: dict[str, torch.Tensor]) -> Path:
    """Write `state` in one of `FORMS`."""
    path = folder / ("b.safetensors" if form == "safetensors" else "b.pt")
    if form == "parallel":
        state = {f"module.{k}": v for k, v in state.items()}
    if form == "half":
        state = {k: v.half() for k, v in state.items()}
    if form == "safetensors":
        save_file(state, path)
    else:
        content = {"state_dict": state, "epoch": 3} if form == "lightning" else state
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    return path


def assert_same_weights(
    network: torch.nn.Module, expected: dict[str, torch.Tensor], form: str
) -> None:
    """Compare a network loaded of a file in a form, which may have been deleted, with its state."""
    for name, value in network.state_dict().items():
        assert value.dtype == torch.float32
        assert value.is_contiguous()
        tolerance = 1e-2 if form == "half" else 0
        torch.testing.assert_close(value, expected[name], atol=tolerance, rtol=0)


def assert_told(message: str, parts: tuple[str, ...]) -> None:
    """Find all parts in a message of one line."""
    assert "\n" not in message
    for part in parts:
        assert part in message
