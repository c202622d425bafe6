"""What a training says of itself: lines, and TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from guidance.errors import InputError, counted
from guidance.train.loop.options import Run


class Log:
    """Prints, and writes to TensorBoard if the run has a ``--log-dir``.

    Raises:
        InputError: TensorBoard is asked for but not installed.
    """

    def __init__(self, options: Run) -> None:
        self.writer, self.every = None, options.log_every
        self.last: tuple[float, int] | None = None
        self.values: dict[str, list[float]] = {}  # since the last line
        if options.log_dir:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:  # pragma: no cover - the tests have it
                raise InputError(
                    "log_dir: TensorBoard is not installed; pip install 'clip-guidance[train]'"
                ) from None
            self.writer = SummaryWriter(str(options.log_dir))

    def step(self, step: int, done: float, values: Mapping[str, float]) -> None:
        """Take the `values` of one step at fraction `done` of the run; report the means of many."""
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)
        if step % self.every == 0:
            self._report(step, done)

    def _report(self, step: int, done: float) -> None:
        now = time.perf_counter()
        speed = ""
        if self.last:
            speed = f"  {(step - self.last[1]) / (now - self.last[0]):.2f} step/s"
        self.last = now, step
        means = {name: sum(values) / len(values) for name, values in self.values.items()}
        self.values = {}
        print(f"{step}  {100 * done:.1f} %  {shown(means)}{speed}", flush=True)
        self.scalars(step, {name.replace(" ", "/"): value for name, value in means.items()})

    def say(self, step: int, text: str) -> None:
        """Print a line about the training at `step`."""
        print(f"{step}  {text}", flush=True)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write `values` to TensorBoard, if it is asked for."""
        if self.writer:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def image(self, step: int, name: str, pixels: Tensor) -> None:
        """Write a picture ``[3, H, W]`` in [0, 1] to TensorBoard, if it is asked for."""
        if self.writer:
            self.writer.add_image(name, pixels, step)

    def finish(self, step: int, out: Path) -> None:
        """Report the last steps, say that the run is over and where its model lies."""
        if self.values:
            self._report(step, 1.0)
        print(f"wrote {out} after {counted(step, 'step')}", flush=True)
        if self.writer:
            self.writer.close()


def shown(values: Mapping[str, float]) -> str:
    """Return values as a line of the log has them."""
    return "  ".join(f"{name} {value:.3g}" for name, value in values.items())
