"""The options of shipping a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ShipOptions:
    """Write a trained CLIP, its image tower alone, a VQGAN, diffusion model or DALL·E in 8 bits."""

    out: Path
    """The weights file."""
    clip: Path | None = None
    """Folder ``clip`` of a run of guidance.train.clip."""
    vqgan: Path | None = None
    """Folder ``vqgan`` of a run of guidance.train.vqgan."""
    diffusion: Path | None = None
    """Folder of a run of guidance.train.diffusion."""
    dalle: Path | None = None
    """Folder of a run of guidance.train.dalle."""
    part: Literal["all", "image"] = "all"
    """image writes the image tower alone, for the texts of another file."""
    bits: Literal[8, 16] = 8
    """8 keeps large weights as int8 with a scale for each output channel, all else as float16; 16
    writes float16 alone, a plain state dict that any library reads."""
