"""Weights in the CPU's memory, copied to the device layer by layer as they are needed."""

from __future__ import annotations

import torch
from torch import nn

from guidance.models.packages import check_offload


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
