"""When and how strongly CLIP steers a run; `guidance.diffusion.guided` is how."""

from __future__ import annotations

import math
from dataclasses import dataclass

from guidance.diffusion.schedule_text import Steps

ROUNDING = 1e-6  # steps; fractions of a run are not exact


@dataclass(frozen=True)
class Guide:
    """When and how strongly the objective steers.

    Attributes:
        scale: of the gradient, over the run; 0 where nothing is guided.
        clamp: greatest root mean square of scale · gradient of a picture; 0 for none.
        every: guide only every so many steps.
        start, until: fractions of the run between which it is guided.
        direct: leave the network out of the gradient, see `guided`.
        excess: weight of the mean squared distance of pixels from [0, 1].
        noisy: weight of what a CLIP that knows noise says of the noisy pictures themselves.
    """

    scale: Steps
    clamp: float = 0.05
    every: int = 1
    start: float = 0.0
    until: float = 1.0
    direct: bool = False
    excess: float = 0.0
    noisy: float = 0.0

    def scale_at(self, index: int, total: int) -> float:
        """Return the scale at step `index` of `total`, 0 if that step is not guided."""
        first = math.ceil(self.start * total - ROUNDING)
        past = index >= self.until * total - ROUNDING
        if index < first or past or (index - first) % self.every:
            return 0.0
        return self.scale.at(index / total)
