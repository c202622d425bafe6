"""The contract every generator fulfils: it makes an image and moves it along a gradient.

A generator knows nothing of prompts or CLIP; the loop knows nothing of strokes or latents. How one
becomes a command, ours or that of another package: `guidance.command.technique.Technique`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from guidance.images.canvas import scale


@dataclass(frozen=True)
class Update:
    """What one step of a generator did.

    Attributes:
        image: the image that was scored, ``[B, 3, H, W]`` in [0, 1], detached; in a step that
            asked no objective perhaps a function that makes it, for those who want to see it.
        finite: False if loss or gradient was NaN or infinite and the step was therefore skipped.
    """

    image: Tensor | Callable[[], Tensor]
    finite: bool = True


class Generator(nn.Module):
    """Base of generators that descend a gradient with their own optimiser.

    Subclasses give `image` and set `optimizer`, with named parameter groups
    (``{"name": ..., "params": ..., "lr": ...}``); `project`, `prepare`, `render`, `frame` and
    `artefacts` are optional. Generators that work otherwise (a denoising step, a sampler) override
    `step` and need no optimiser.
    """

    optimizer: torch.optim.Optimizer
    notes: Sequence[str] = ()  # lines for the user about what differs from what was asked for
    remedy = "lower the learning rates"  # what to try where a run diverges

    @property
    def final_size(self) -> tuple[int, int]:
        """Height and width of the picture that is saved where the options do not say it."""
        height, width = self.image().shape[-2:]
        return height, width

    def image(self) -> Tensor:
        """Return the current image ``[B, 3, H, W]`` in [0, 1], with gradient."""
        raise NotImplementedError

    def prepare(self, index: int, steps: int) -> None:
        """Get ready for step `index` of `steps`, e.g. set learning rates; depends on both only."""

    def project(self) -> None:
        """Put the parameters back into their valid range after an update."""

    def step(self, objective: Callable[[Tensor], Tensor]) -> Update:
        """Make one update against `objective` (image → scalar loss).

        A loss or gradient that is not finite leaves the parameters as they were.
        """
        self.optimizer.zero_grad(set_to_none=True)
        image = self.image()
        loss = objective(image)
        loss.backward()
        finite = self._finite(loss)
        if finite:
            self.descend()
        return Update(image.detach(), finite)

    def descend(self) -> None:
        """Move along the gradients that are there, then back into the valid range."""
        self.optimizer.step()
        with torch.no_grad():
            self.project()

    @torch.no_grad()
    def render(self, height: int, width: int) -> Tensor:
        """Return the current image ``[B, 3, height, width]``; vector generators override this."""
        return scale(self.image(), height, width)

    def frame(self, height: int, width: int) -> Tensor:
        """Return what the video shows now, ``[1, 3, height, width]``."""
        return self.render(height, width)[:1]

    def artefacts(self) -> dict[str, str | bytes]:
        """Return extra files of a run by name, e.g. ``{"drawing.svg": ...}``."""
        return {}

    def _finite(self, loss: Tensor) -> bool:
        checks = [loss.detach().isfinite().all()]
        for group in self.optimizer.param_groups:
            checks += [p.grad.isfinite().all() for p in group["params"] if p.grad is not None]
        return bool(torch.stack(checks).all())
