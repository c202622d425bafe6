"""The options of a VQGAN training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from guidance.command.cli import Several
from guidance.conventions import check_range
from guidance.errors import InputError
from guidance.train.loop.options import RunOptions

CONFIG = Path(__file__).parents[2] / "models" / "configs" / "mini-vqgan.json"


@dataclass(frozen=True, kw_only=True)
class VqganTraining(RunOptions):
    """Train a VQGAN on pictures."""

    data: Several[tuple[str, ...]]
    """Tar shards ("shards/*.tar") or folders of pictures; may be repeated."""
    out: Path
    """Folder of the run: state.pt and the folder vqgan, which --vqgan takes."""
    classifier: Path
    """ImageNet weights of EfficientNet-Lite0, whose features are the perceptual loss."""
    init: Path | None = None
    """Start from the averaged weights and the codebook of another run: its state.pt."""
    config: Path = CONFIG
    """Architecture: the config.json of a diffusers VQModel."""
    weights: dict[str, float] = field(default_factory=dict)
    """How often to show a source, group or tag, by pattern: --weights quickdraw 0.3 "*" 1."""
    side: int = 64
    """Side of the patches, pixels."""
    batch: int = 16
    """Patches in a step."""
    rate: float = 6e-4
    """Learning rate at its highest; it rises for the first hundredth and falls as a cosine."""
    colour: float = 2.0
    """Weight of the absolute error of pictures shrunk to an eighth; the error as it is has 1."""
    perceptual: float = 1.0
    """Weight of the perceptual loss."""
    commitment: float = 0.25
    """Weight of the pull of vectors towards their codes."""
    codes_from: float = 0.02
    """Part of the run at which the codebook begins; until then nothing is quantised."""
    judge: float = 0.3
    """Length of the judge's gradient, relative to that of the other losses (their λ)."""
    judge_from: float = 0.4
    """Part of the run at which the judge begins to be heard; a tenth later it is heard fully."""
    log_every: int = 20
    """Steps between log lines."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        for name in ("classifier", "config", "init"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise InputError(f"--{name}: {path} does not exist")
        check_range("side", self.side, 16, 1024)
        check_range("batch", self.batch, 1, 65536)
        check_range("judge_from", self.judge_from, 0, 1)
        check_range("codes_from", self.codes_from, 0, 1)
        for name in ("colour", "perceptual", "commitment", "judge"):
            check_range(name, getattr(self, name), 0, 1000)
        super().check()
