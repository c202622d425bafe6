"""The smallest real generator: the pixels themselves, moved by Adam."""

import torch
from torch import Tensor, nn

from guidance.step.generator import Generator


class Pixels(Generator):
    """An image ``[1, 3, side, side]`` of free pixels.

    Args:
        rate: learning rate at the start; it falls to a tenth over the run.
    """

    def __init__(self, side: int = 32, seed: int = 0, rate: float = 0.03):
        super().__init__()
        start = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))
        self.pixels = nn.Parameter(0.4 + 0.2 * start)
        self.gain = nn.Parameter(torch.ones(3, 1, 1))
        self.rate = rate
        self.optimizer = torch.optim.Adam(
            [
                {"name": "pixels", "params": [self.pixels], "lr": rate},
                {"name": "gain", "params": [self.gain], "lr": rate / 10},
            ]
        )

    def prepare(self, index: int, steps: int) -> None:
        """Let the learning rate of the pixels fall linearly."""
        self.optimizer.param_groups[0]["lr"] = self.rate * (1 - 0.9 * index / steps)

    def image(self) -> Tensor:
        """Return pixels times gain."""
        return self.pixels * self.gain

    def project(self) -> None:
        """Keep the image in [0, 1]."""
        self.pixels.clamp_(0, 1)
        self.gain.clamp_(0.5, 1)
