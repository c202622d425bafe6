"""Steps and seconds of a run, and which fraction of it lies behind."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Clock:
    """How long a run is and where it stands; the first limit that is reached ends it.

    Attributes:
        steps: length in steps; None is no limit.
        minutes: length in minutes of wall-clock; None is no limit.
        step: steps made.
        spent: seconds spent on them, also before the run was resumed.
    """

    steps: int | None
    minutes: float | None
    step: int = 0
    spent: float = 0.0
    _begin: float = 0.0

    def start(self) -> None:
        """Begin to count, after what was spent already."""
        self._begin = time.perf_counter() - self.spent

    def tick(self) -> None:
        """Take the time."""
        self.spent = time.perf_counter() - self._begin

    def done(self) -> float:
        """Return the fraction of the run that lies behind, 1 or more at its end."""
        parts = []
        if self.minutes is not None:
            parts.append(self.spent / 60 / self.minutes if self.minutes else 1.0)
        if self.steps is not None:
            parts.append(self.step / self.steps if self.steps else 1.0)
        return max(parts)
