"""The options of measuring a VQGAN or autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from guidance.command.cli import Several, alias
from guidance.conventions import check_device, check_range
from guidance.data.shards import find
from guidance.errors import InputError
from guidance.evaluate.judge_names import check_judge
from guidance.evaluate.outputs import check_outputs
from guidance.models.latents_config import check_latents


@dataclass(frozen=True)
class VqganEvaluation:
    """Measure the reconstructions of a VQGAN or autoencoder."""

    data: Several[tuple[str, ...]]
    """Pictures: a folder of them or a pattern of tar shards; may be repeated."""
    vqgan: Annotated[str, alias("--model")] = "mini"
    """The model: "mini", a taming checkpoint, a diffusers folder or repository."""
    vqgan_config: Annotated[str | None, alias("-conf")] = None
    """The .yaml of a taming checkpoint."""
    limit: int = 500
    """Pictures at most, of each data set, spread evenly over it."""
    judge: str = "auto"
    """Classifier whose features measure the perceptual distance (`guidance.evaluate.perceptual`):
    efficientnet-lite0, -lite1 or -lite2; none leaves it out, auto is -lite1 if it is installed."""
    sheet: Path | None = None
    """Save a contact sheet of originals and reconstructions here: .png, .jpg or .webp."""
    json: Path | None = None
    """Write all figures to this file."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        check_latents(self.vqgan, self.vqgan_config)
        for pattern in self.data:
            find(pattern)
        check_range("limit", self.limit, 1)
        self.classifier()
        check_device(self.device)
        check_outputs(self.sheet, self.json)

    def classifier(self) -> str | None:
        """Return the name of the judge that can be had, None for none."""
        if self.judge == "none":
            return None
        name = "efficientnet-lite1" if self.judge == "auto" else self.judge
        try:
            check_judge(name)
        except InputError:
            if self.judge == "auto":
                return None
            raise
        return name
