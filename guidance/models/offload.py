"""Weights in the CPU's memory, copied to the device layer by layer as they are needed."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import nn

from guidance.errors import ModelError


def check_offload() -> None:
    """Raise `ModelError` unless accelerate, which does the copying, is installed."""
    if find_spec("accelerate") is None:
        raise ModelError(
            "offloading needs the package accelerate: pip install 'clip-guidance[pipelines]'"
        )


def offload_weights(network: nn.Module, device: torch.device) -> None:
    """Keep the weights of `network` on the CPU; it computes on `device`, also for gradients.

    A backward pass holds on to the copies of its weights, so without gradient it saves the most.

    Raises:
        ModelError: accelerate is not installed.
    """
    check_offload()
    from accelerate import cpu_offload

    network.to("cpu")
    cpu_offload(network, execution_device=device)


def move_buffers(module: nn.Module, device: torch.device | str) -> None:
    """Move the buffers that are directly in `module` to `device`."""
    for name, buffer in list(module.named_buffers(recurse=False)):
        setattr(module, name, buffer.to(device))
