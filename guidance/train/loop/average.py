"""The moving average of a network's weights, which is what a training exports."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of the state of `network` (Polyak and Juditsky 1992).

    It forgets faster in the first steps, so that the start does not stay in it.

    Args:
        network: its state now is the average's start.
        decay: share of the average that a step keeps; 0 follows the network.

    Attributes:
        state: the averaged state dict; what is not floating point is the last.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {k: v.clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights of `network` after step number `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = network.state_dict()
        real = [k for k, v in now.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.state[k] for k in real], [now[k] for k in real], 1 - decay)
        for key in now.keys() - set(real):
            self.state[key].copy_(now[key])
