"""The options of a DALL·E's training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.command.cli import Several
from guidance.conventions import check_range
from guidance.converting import from_table
from guidance.errors import InputError
from guidance.models.dalle.config import DalleConfig
from guidance.models.folder import read_json
from guidance.train.loop.options import RunOptions

CONFIGS = Path(__file__).parents[2] / "models" / "configs"


@dataclass(frozen=True, kw_only=True)
class DalleTraining(RunOptions):
    """Train a transformer that writes pictures as codes, told what they show by CLIP."""

    data: Several[tuple[Path, ...]]
    """File of guidance.train.latents --codes; may be repeated."""
    out: Path
    """Folder of the run: state.pt and dalle.safetensors."""
    config: Path = CONFIGS / "mini-dalle.json"
    """How the transformer is built."""
    batch: int = 64
    """Pictures in a step."""
    rate: float = 1e-3
    """Learning rate at its highest; it rises for the first hundredth and falls as a cosine."""
    decay: float = 0.05
    """Weight decay, of matrices."""
    drop: float = 0.1
    """Share of pictures shown without a condition, for classifier-free guidance."""
    single: float = 0.6
    """Share of pictures shown with the text embedding alone or the image embedding alone."""
    blur: float = 0.6
    """Largest noise on the image embeddings, in deviations: those of a prior are not exact."""
    kept: int = 1000
    """Pictures kept back to measure by, at most a tenth of all."""
    init: Path | None = None
    """Start from averaged weights: state.pt or dalle.safetensors of another run."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        for name, path in (*(("data", p) for p in self.data), ("config", self.config),
                           ("init", self.init)):  # fmt: skip
            if path is not None and not path.is_file():
                raise InputError(f"--{name}: {path} does not exist")
        if not self.data:
            raise InputError("--data must name a file of guidance.train.latents --codes")
        self.built()
        check_range("batch", self.batch, 1, 65536)
        check_range("decay", self.decay, 0, 1)
        check_range("drop", self.drop, 0, 1)
        check_range("single", self.single, 0, 1 - self.drop)
        check_range("blur", self.blur, 0, 10)
        check_range("kept", self.kept, 0)
        super().check()

    def built(self) -> DalleConfig:
        """Return how the transformer is built.

        Raises:
            InputError: a value is missing, unknown or not allowed.
            FileError: the file cannot be read.
        """
        return from_table(DalleConfig, read_json(self.config), f"config {self.config}")
