"""The options of the text tower's training: embedding its texts, and the training itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.command.cli import Several
from guidance.conventions import check_range
from guidance.errors import InputError
from guidance.train.loop.options import RunOptions


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


@dataclass(frozen=True, kw_only=True)
class DistilOptions(RunOptions):
    """Train the text tower to give the embeddings of a sentence encoder."""

    minilm: Path
    """Folder of all-MiniLM-L6-v2; its word pieces start the token embedding."""
    sentences: Path
    """Folder written by ``embed``."""
    architecture: str = "mini"
    """A name in guidance/clip/configs or the path of an open_clip_config.json; its text tower must
    be one of open_clip's own."""
    out: Path = Path("text.safetensors")
    """The text tower is written here (safetensors, float32), what --resume needs beside it."""
    minutes: float = 10.0
    """Wall-clock length of the training; the learning rate follows it."""
    batch: int = 512
    """Texts per step."""
    rate: float = 2e-3
    """Learning rate at its highest; it falls as a line."""
    warmup: float = 0.05
    """Share of the run in which the rate rises."""
    init: Path | None = None
    """Start from this text tower."""
    ema: float = 0.0
    """Decay of the weight average that is kept; 0 keeps the weights themselves."""

    @property
    def state(self) -> Path:
        """The checkpoint."""
        return self.out.with_suffix(".state.pt")

    def check(self) -> None:
        """Raise `InputError` for what is not allowed; load nothing."""
        for name in ("minilm", "sentences", "init"):
            path = getattr(self, name)
            if path is not None and not path.exists():
                raise InputError(f"--{name}: {path} does not exist")
        check_range("batch", self.batch, 2, 1_000_000)
        check_range("warmup", self.warmup, 0.001, 0.999)
        super().check()
