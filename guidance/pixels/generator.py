"""Pixels: a canvas whose values follow the gradient with Adam. The smallest generator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.pixels.canvas import Art, Canvas
from guidance.step.generator import Generator

LAST = 0.1  # the learning rate falls to this fraction of the first: late steps only refine


class Pixels(Generator):
    """An image under optimisation.

    Args:
        canvas: how the image is written down, with its start values.
        lr: learning rate of the first step.
    """

    def __init__(self, canvas: Canvas, lr: float):
        super().__init__()
        self.canvas = canvas
        self.lr = lr
        self.optimizer = torch.optim.Adam([{"name": "values", "params": [canvas.values], "lr": lr}])

    def image(self) -> Tensor:
        """Return the picture ``[1, 3, H, W]`` in [0, 1]."""
        return self.canvas()

    def prepare(self, index: int, steps: int) -> None:
        """Let the learning rate fall linearly."""
        self.canvas.prepare(index / steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * (1 - (1 - LAST) * index / steps)

    def project(self) -> None:
        """Keep the values in range."""
        self.canvas.project()

    @torch.no_grad()
    def render(self, height: int, width: int) -> Tensor:
        """Return the picture at any size; pixel art keeps its edges and colours."""
        if isinstance(self.canvas, Art):
            return F.interpolate(self.canvas.final(), (height, width), mode="nearest-exact")
        return super().render(height, width)
