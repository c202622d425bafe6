"""The progress bar of a run."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

    from guidance.step.loop import Step


class Progress:
    """A bar that shows steps: how many a second, how long it still takes, score and loss.

    Args:
        bar: of all steps that are made, those of rough tries among them.
    """

    def __init__(self, bar: tqdm):
        self._bar = bar
        self._said: dict[str, float] = {}

    def show(self, step: Step, of: str = "") -> None:
        """Show a step that was just made, and what it is a step `of`."""
        # a step in which the objective was not asked leaves what it said last
        now = {"score": step.score, "loss": step.loss}
        self._said.update({k: v for k, v in now.items() if math.isfinite(v)})
        self._bar.set_description(of, refresh=False)
        self._bar.set_postfix({k: f"{v:.3f}" for k, v in self._said.items()}, refresh=False)
        self._bar.update()
        if step.skipped:
            self.say(f"step {step.index}: not finite, skipped")

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        self._bar.write(line, file=sys.stderr)


@contextlib.contextmanager
def progress(total: int, left: int, *, quiet: bool) -> Generator[Progress]:
    """Give the bar of a run of `total` steps, of which some are `left` to be made."""
    from tqdm import tqdm

    with tqdm(
        total=total, initial=total - left, unit="step", disable=quiet, dynamic_ncols=True
    ) as bar:
        yield Progress(bar)
