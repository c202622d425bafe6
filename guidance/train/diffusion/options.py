"""The options of a diffusion training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.command.cli import Several
from guidance.conventions import check_range
from guidance.errors import InputError
from guidance.train.loop.options import RunOptions

CONFIGS = Path(__file__).parents[2] / "models" / "configs"
SHIPPED = Path("mini")  # as --init: the weights inside the package


@dataclass(frozen=True, kw_only=True)
class DiffusionTraining(RunOptions):
    """Train a latent diffusion model that CLIP embeddings condition."""

    data: Several[tuple[Path, ...]]
    """File of guidance.train.latents; may be repeated."""
    out: Path
    """Folder of the run: state.pt and diffusion.safetensors."""
    config: Path = CONFIGS / "mini-diffusion.json"
    """Architecture and noise schedule: configs of a UNet2DConditionModel and of a scheduler."""
    batch: int = 64
    """Pictures in a step."""
    rate: float = 8e-4
    """Learning rate at its highest; it rises for the first hundredth and falls as a cosine."""
    decay: float = 0.01
    """Weight decay."""
    gamma: float = 5.0
    """Cap of the loss weight by signal-to-noise ratio (min-SNR, Hang et al. 2023)."""
    floor: float = 1.0
    """Least signal-to-noise ratio in that weight (Salimans and Ho 2022); 0 is plain min-SNR."""
    drop: float = 0.1
    """Share of pictures shown without a condition, for classifier-free guidance."""
    single: float = 0.55
    """Share of pictures shown with the text embedding alone or the image embedding alone."""
    blur: float = 0.6
    """Largest noise on the image embeddings, in deviations: those of a prior are not exact."""
    init: Path | None = None
    """Start from averaged weights: state.pt or diffusion.safetensors of another run, or mini."""
    init_partly: bool = False
    """Take of --init what fits the architecture; what does not is new, and named."""
    measure: bool = False
    """Normalise as --data asks for rather than as --init did: it is of another VQGAN or CLIP."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        named = [("data", path) for path in self.data]
        init = None if self.init == SHIPPED else self.init
        for name, path in (*named, ("config", self.config), ("init", init)):
            if path is not None and not path.is_file():
                more = ", and the only name is mini" if name == "init" else ""
                raise InputError(f"--{name}: {path} does not exist{more}")
        if self.init is None and (self.init_partly or self.measure):
            raise InputError("--init-partly and --measure need --init")
        if not self.data:
            raise InputError("--data must name a file of guidance.train.latents")
        check_range("batch", self.batch, 1, 65536)
        check_range("decay", self.decay, 0, 1)
        check_range("gamma", self.gamma, 0, above=True)
        check_range("floor", self.floor, 0, self.gamma)
        check_range("drop", self.drop, 0, 1)
        check_range("single", self.single, 0, 1 - self.drop)
        check_range("blur", self.blur, 0, 10)
        super().check()
