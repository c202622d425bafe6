"""The options of the training of a noise-aware CLIP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.command.cli import Several
from guidance.conventions import check_range
from guidance.errors import InputError
from guidance.train.diffusion.options import CONFIGS
from guidance.train.loop.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class NoiseAwareTraining(RunOptions):
    """Train the noise-aware CLIP of a diffusion model."""

    data: Several[tuple[Path, ...]]
    """File of guidance.train.latents; may be repeated."""
    diffusion: Path
    """Folder of the run of guidance.train.diffusion."""
    out: Path
    """Folder of the run: state.pt, and diffusion.safetensors as guidance.train.ship takes it."""
    config: Path = CONFIGS / "mini-diffusion.json"
    """That run's architecture."""
    batch: int = 128
    """Pictures in a step, which are told apart."""
    minutes: float = 5.0
    """Length of the run."""
    rate: float = 1e-3
    """Learning rate at its highest; it falls as a line."""
    ema: float = 0.0
    """Decay of the weight average that is kept; 0 keeps the weights themselves."""
    threads: int = 0
    """Threads that parts of a batch go to; a batch that is contrasted stays whole."""

    def check(self) -> None:
        """Raise `InputError` for what is not allowed; load nothing."""
        weights = self.diffusion / "diffusion.safetensors"
        for path in (*self.data, self.config, weights):
            if not path.is_file():
                raise InputError(f"{path} does not exist")
        check_range("batch", self.batch, 2, 65536)
        super().check()
