"""The options that the timed trainings share: length, arithmetic, seed, log, checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.conventions import MAX_SEED, check_device, check_range
from guidance.errors import InputError

STATE = "state.pt"  # the file in a run's folder that --resume goes on with


@dataclass(frozen=True, kw_only=True)
class LengthOptions:
    """How long a training runs, from which seed and where."""

    minutes: float = 60.0
    """Length of the run."""
    steps: int = 0
    """Length of the run in steps instead; 0 goes by the minutes."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""

    def done(self, step: int, spent: float) -> float:
        """Return the fraction of the run that lies behind after `step` steps, `spent` seconds."""
        return step / self.steps if self.steps else spent / 60 / self.minutes

    def check_length(self) -> None:
        """Raise `InputError` for what is not allowed here; load nothing."""
        check_range("minutes", self.minutes, 0)
        check_range("steps", self.steps, 0)
        check_range("seed", self.seed, 0, MAX_SEED)
        if not self.minutes and not self.steps:
            raise InputError("give the run a length: --minutes or --steps")
        check_device(self.device)


@dataclass(frozen=True, kw_only=True)
class RunOptions(LengthOptions):
    """How a training goes on, what it keeps and what it tells."""

    ema: float = 0.999
    """Decay of the weight average that is kept."""
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

    def check_run(self, out: Path) -> None:
        """Raise `InputError` for what is not allowed here; load nothing.

        Args:
            out: Folder of the run.
        """
        self.check_length()
        check_range("ema", self.ema, 0, 1)
        check_range("threads", self.threads, 0, 1024)
        check_range("log_every", self.log_every, 1)
        if self.precision not in ("bf16", "fp32"):
            raise InputError(f"precision must be bf16 or fp32 but is {self.precision!r}")
        check_out(out, resume=self.resume)


def check_out(out: Path, *, resume: bool) -> None:
    """Raise `InputError` unless `out` holds a run to go on with, or none if a new one begins."""
    held = (out / STATE).is_file()
    if held and not resume:
        raise InputError(f"out: {out} holds a run; --resume continues it, or name another folder")
    if resume and not held:
        raise InputError(f"resume: {out} holds no {STATE}")
