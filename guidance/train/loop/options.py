"""The options that the trainings share: length, arithmetic, seed, log, checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from guidance.conventions import MAX_SEED, check_device, check_range
from guidance.errors import InputError
from guidance.train.loop.clock import Clock

STATE = "state.pt"  # what --resume goes on with, in the folder of a run


class Run(Protocol):
    """What the training loop asks of options; `RunOptions` has it all."""

    @property
    def state(self) -> Path:
        """The checkpoint."""

    @property
    def rate(self) -> float:
        """Learning rate at its highest."""

    @property
    def ema(self) -> float:
        """Decay of the weight average."""

    @property
    def precision(self) -> str:
        """Arithmetic, bf16 or fp32."""

    @property
    def seed(self) -> int:
        """Seed of everything random."""

    @property
    def device(self) -> str:
        """Where it runs."""

    @property
    def threads(self) -> int:
        """CPU threads."""

    @property
    def resume(self) -> bool:
        """Whether to go on with the checkpoint."""

    @property
    def log_every(self) -> int:
        """Steps between log lines."""

    @property
    def log_dir(self) -> Path | None:
        """Folder of TensorBoard logs."""

    @property
    def save_every(self) -> float:
        """Minutes between checkpoints."""

    def check(self) -> None:
        """Raise `InputError` for what is not allowed; load nothing."""

    def length(self, pictures: int) -> Clock:
        """Return how long the run is, with so many pictures to learn from."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How long a training runs, from which seed and where, what it keeps and what it tells."""

    out: Path
    """Folder of the run."""
    minutes: float = 60.0
    """Length of the run."""
    steps: int = 0
    """Length of the run in steps instead; 0 goes by the minutes."""
    rate: float = 1e-3
    """Learning rate at its highest."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    ema: float = 0.999
    """Decay of the weight average that is kept; 0 keeps the weights themselves."""
    precision: str = "bf16"
    """Arithmetic: bf16 (autocast) or fp32."""
    threads: int = 2
    """CPU threads; each takes a part of the batch."""
    resume: bool = False
    """Go on with the run in --out."""
    log_every: int = 50
    """Steps between log lines."""
    log_dir: Path | None = None
    """Write TensorBoard logs here."""
    save_every: float = 5.0
    """Minutes between checkpoints."""

    @property
    def state(self) -> Path:
        """The checkpoint."""
        return self.out / STATE

    def length(self, pictures: int) -> Clock:
        """Return how long the run is."""
        return Clock(self.steps or None, None if self.steps else self.minutes)

    def check(self) -> None:
        """Raise `InputError` for what is not allowed; load nothing."""
        check_range("minutes", self.minutes, 0)
        check_range("steps", self.steps, 0)
        check_range("seed", self.seed, 0, MAX_SEED)
        if not self.minutes and not self.steps:
            raise InputError("give the run a length: --minutes or --steps")
        check_device(self.device)
        check_range("rate", self.rate, 0, 1, above=True)
        check_range("ema", self.ema, 0, 1)
        check_range("threads", self.threads, 0, 1024)
        check_range("log_every", self.log_every, 1)
        if self.precision not in ("bf16", "fp32"):
            raise InputError(f"precision must be bf16 or fp32 but is {self.precision!r}")
        check_state(self)


def check_state(run: Run) -> None:
    """Raise `InputError` unless there is a run to go on with, or none where a new one begins."""
    folder, held = run.state.parent, run.state.is_file()
    if held and not run.resume:
        said = f"out: {folder} holds a run; --resume continues it, or name another folder"
        raise InputError(said)
    if run.resume and not held:
        raise InputError(f"resume: {folder} holds no {run.state.name}")
