"""The options of the training of an aesthetic head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class AestheticOptions:
    """Train a head that rates pictures by their CLIP embeddings."""

    data: Path
    """Folder with ratings.csv (columns image, rating) and the pictures it names."""
    out: Path
    """The head's file (.safetensors)."""
    clip: str = "mini"
    """The CLIP whose embeddings it reads, as for --clip of the techniques."""
    held_out: float = 0.2
    """Share of the pictures to measure the head on, 0.05 to 0.5; the head that is written has
    learned from all."""
    seed: int = 0
    """Decides which pictures are held out."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the CLIP image towers."""
    batch: int = 32
    """Pictures embedded at once."""
    workers: int = 2
    """Threads that decode pictures."""
    quiet: bool = False
    """No progress bar."""
