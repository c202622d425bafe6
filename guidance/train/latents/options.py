"""The options of the preparation of latents."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from guidance.command.cli import Several
from guidance.conventions import check_device, check_range
from guidance.errors import InputError
from guidance.models.latents_config import check_latents


@dataclass(frozen=True)
class LatentsOptions:
    """Encode captioned pictures for the training of a diffusion model or a DALL·E."""

    data: Several[tuple[str, ...]]
    """Tar shards ("shards/*.tar") or folders of captioned pictures; may be repeated."""
    out: Path
    """The file to write, safetensors."""
    clip: str = "mini-guide"
    """The CLIP whose embeddings the model will know, as for --clip of the techniques."""
    vqgan: str = "mini"
    """The latent space, as for --vqgan."""
    side: int = 128
    """Side of the pictures, pixels."""
    low: bool = False
    """Encode each picture also from half its resolution, as the upsampler sees it."""
    codes: bool = False
    """Keep the VQGAN's codes rather than latents, for guidance.train.dalle."""
    weights: dict[str, float] = field(default_factory=dict)
    """How often to show a source, group or tag, by pattern: --weights quickdraw 0.3 thing 2."""
    seed: int = 0
    """Seed of crops and of the backgrounds that transparent pictures are laid on."""
    threads: int = 2
    """CPU threads."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""

    def check(self) -> None:
        """Raise `InputError` for what is not allowed; load nothing."""
        check_range("side", self.side, 16, 1024)
        check_range("threads", self.threads, 1, 1024)
        check_latents(self.vqgan)
        if self.codes and self.low:
            raise InputError("--low is for upsamplers, not for --codes; leave one out")
        check_device(self.device)
