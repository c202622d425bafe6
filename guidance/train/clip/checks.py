"""Weights in the middle of a training → a `ClipModel` to be measured."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from guidance.clip.build import assemble
from guidance.clip.model import ClipModel


def clip_model(config: dict[str, Any], state: dict[str, Tensor], device: torch.device) -> ClipModel:
    """Return the model of `config` with a copy of the weights `state`."""
    parts = assemble(config, {k: v.cpu() for k, v in state.items()}, "the training's weights")
    return ClipModel(*parts, name="training", device=device)
