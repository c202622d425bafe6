"""The options of the text tower's training: embedding its texts, and the training itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.command.cli import Several


@dataclass(frozen=True)
class EmbedOptions:
    """Embed captions and texts with a sentence encoder."""

    minilm: Path
    """Folder of all-MiniLM-L6-v2."""
    data: Several[tuple[str, ...]]
    """Shards or folders whose captions are embedded; may be repeated."""
    out: Path
    """Folder for ``texts.txt`` and ``embeddings.npy``."""
    texts: Path | None = None
    """File with further texts, one a line."""
    threads: int = 2
    """CPU threads."""


@dataclass(frozen=True)
class DistilOptions:
    """Train the text tower to give the embeddings of a sentence encoder."""

    minilm: Path
    """Folder of all-MiniLM-L6-v2; its word pieces start the token embedding."""
    sentences: Path
    """Folder written by ``embed``."""
    architecture: str = "mini"
    """A name in guidance/clip/configs or the path of an open_clip_config.json; its text tower must
    be one of open_clip's own."""
    out: Path = Path("text.safetensors")
    """The text tower is written here (safetensors, float32)."""
    minutes: float = 10.0
    """Wall-clock length of the training; the learning rate follows it."""
    steps: int = 0
    """Length in steps instead, if not 0."""
    batch: int = 512
    """Texts per step."""
    rate: float = 2e-3
    """Peak learning rate."""
    warmup: float = 0.05
    """Share of the run in which the rate rises."""
    init: Path | None = None
    """Continue from this text tower."""
    seed: int = 0
    """Seed of weights and batches."""
    threads: int = 2
    """CPU threads, each with its own part of the batch."""
