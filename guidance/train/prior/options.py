"""The options of a prior."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.command.cli import Several


@dataclass(frozen=True)
class PriorOptions:
    """Build the prior of a CLIP from the pictures it learned from."""

    clip: str
    """The CLIP, as for --clip of the techniques."""
    photos: Several[tuple[str, ...]]
    """Captioned photos: shards or a folder; may be repeated."""
    out: Path
    """The prior's file, NAME-prior.safetensors beside the weights NAME.safetensors."""
    drawings: Several[tuple[str, ...]] = ()
    """Captioned pictures that are no photos; may be repeated."""
    classifier: Path | None = None
    """ImageNet weights of EfficientNet-Lite0."""
    val: Several[tuple[str, ...]] = ()
    """Held-out pairs to measure the prior on; may be repeated."""
    rank: int = 192
    """Directions to keep of texts and of images."""
