"""The options of the training of a VQGAN or a dVAE."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from guidance.clip.names import parse_spec
from guidance.command.cli import Several
from guidance.conventions import check_range
from guidance.errors import InputError
from guidance.train.loop.options import RunOptions

CONFIGS = Path(__file__).parents[2] / "models" / "configs"
DEFAULTS = {"vqgan": CONFIGS / "mini-vqgan.json", "dvae": CONFIGS / "small-dvae.json"}
# options that only one kind has a use for
OWN = {
    "vqgan": (
        "classifier", "colour", "squared", "perceptual", "commitment", "codes_from", "judge",
        "judge_from", "critic", "critic_weight", "critic_from",
    ),
    "dvae": ("kl", "kl_rise", "temperature", "anneal"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VqganTraining(RunOptions):
    """Train a VQGAN on pictures, or a discrete variational autoencoder."""

    kind: Literal["vqgan", "dvae"] = "vqgan"
    """A VQGAN, or DALL·E's autoencoder with a likelihood of pixels and relaxed codes (dVAE)."""
    data: Several[tuple[str, ...]]
    """Tar shards ("shards/*.tar") or folders of pictures; may be repeated."""
    out: Path
    """Folder of the run: state.pt and the folder vqgan, which --vqgan takes, or dvae."""
    classifier: Path | None = None
    """ImageNet weights of EfficientNet-Lite0, whose features are the perceptual loss; a VQGAN needs
    them."""
    init: Path | None = None
    """Start from the averaged weights and the codebook of another run: its state.pt."""
    config: Path | None = None
    """Architecture: the config.json of a diffusers VQModel or of a dVAE; by default that of the
    mini VQGAN, or a dVAE of 2,048 codes."""
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
    squared: float = 0.0
    """Weight of the squared error, with pictures in [-1, 1]: for PSNR; 0 leaves it out."""
    perceptual: float = 1.0
    """Weight of the perceptual loss."""
    commitment: float = 0.25
    """Weight of the pull of vectors towards their codes."""
    codes_from: float = 0.02
    """Part of the run at which the codebook begins; until then nothing is quantised."""
    judge: float = 0.3
    """Length of the patch judge's gradient, relative to that of the losses without critics (their
    λ); 0 does without the judge."""
    judge_from: float = 0.4
    """Part of the run at which the judge begins to be heard; a tenth later it is heard fully."""
    critic: str | None = None
    """A CLIP as a critic beside the judge, as for --clip of the techniques: heads on its frozen
    features learn to tell real from made."""
    critic_weight: float = 0.3
    """Length of the critic's gradient, as for --judge."""
    critic_from: float = 0.4
    """Part of the run at which the critic begins to be heard, as for --judge-from."""
    kl: float = 6.6
    """dVAE: weight of the codes' distance from being used all alike (their β)."""
    kl_rise: float = 0.02
    """dVAE: part of the run in which that weight rises from 0."""
    temperature: float = 0.0625
    """dVAE: the lowest temperature of the relaxed codes, which begins at 1."""
    anneal: float = 0.5
    """dVAE: part of the run in which the temperature falls."""
    log_every: int = 20
    """Steps between log lines."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        self._check_kind()
        for name in ("classifier", "config", "init"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise InputError(f"--{name}: {path} does not exist")
        check_range("side", self.side, 16, 1024)
        check_range("batch", self.batch, 1, 65536)
        for name in ("judge_from", "critic_from", "codes_from", "kl_rise", "anneal"):
            check_range(name, getattr(self, name), 0, 1)
        check_range("temperature", self.temperature, 0, 1, above=True)
        for name in (
            "colour",
            "squared",
            "perceptual",
            "commitment",
            "judge",
            "critic_weight",
            "kl",
        ):
            check_range(name, getattr(self, name), 0, 1000)
        if self.critic is not None:
            parse_spec(self.critic)
        super().check()

    def architecture(self) -> Path:
        """Return the file of the architecture."""
        return self.config or DEFAULTS[self.kind]

    def _check_kind(self) -> None:
        if self.kind == "vqgan" and self.classifier is None:
            raise InputError(
                "a VQGAN needs --classifier, the weights of EfficientNet-Lite0 for its perceptual "
                "loss; --kind dvae does without"
            )
        other = "dvae" if self.kind == "vqgan" else "vqgan"
        for known in fields(self):
            if known.name in OWN[other] and getattr(self, known.name) != known.default:
                option = known.name.replace("_", "-")
                raise InputError(f"--{option} belongs to --kind {other} but --kind is {self.kind}")
