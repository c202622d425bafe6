"""The options of a CLIP training; a preset (`guidance.train.clip.presets`) sets their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from guidance.command.cli import Several
from guidance.conventions import MAX_SEED, check_device, check_range
from guidance.errors import InputError
from guidance.train.clip.sections import (
    HeadOptions,
    LossOptions,
    ModelOptions,
    OptimiserOptions,
    SamplingOptions,
    TeacherOptions,
)
from guidance.train.loop.clock import Clock
from guidance.train.loop.options import STATE, check_state


@dataclass(frozen=True)
class ClipOptions:
    """Contrastive training of a CLIP (Radford et al. 2021, arXiv:2103.00020, section 2.3).

    ``--config NAME`` sets the defaults of all options: tiny, finetune, lit, mini, mini-text,
    mini-head, mini-guide, or a TOML file of your own with the same sections.
    """

    data: Several[tuple[str, ...]] = ()
    """Pattern of WebDataset tar files, or a folder with a captions file; may be repeated."""
    val: Several[tuple[str, ...]] = ()
    """Held-out data of the same kind, for retrieval figures along the way."""
    out: Path = Path("runs/clip")
    """Folder for state.pt (to resume) and clip/ (config and weights, for --clip)."""
    model: ModelOptions = field(default_factory=ModelOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    head: HeadOptions = field(default_factory=HeadOptions)
    teachers: TeacherOptions = field(default_factory=TeacherOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    resume: bool = False
    """Continue the run in --out."""
    log_dir: Path | None = None
    """Folder for TensorBoard: losses, temperature, retrieval and matrices of samples."""
    log_every: int = 20
    """Steps between lines of the log."""
    save_every: float = 5.0
    """Minutes between checkpoints, each with retrieval figures on --val."""
    seed: int = 0
    """Seed of weights, batches and augmentations."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    threads: int = 2
    """On a CPU: threads, each with its own part of the batch."""

    @property
    def state(self) -> Path:
        """The checkpoint."""
        return self.out / STATE

    @property
    def rate(self) -> float:
        """Learning rate at its highest."""
        return self.optimiser.rate

    @property
    def ema(self) -> float:
        """Decay of the weight average that is exported."""
        return self.optimiser.ema

    @property
    def precision(self) -> str:
        """Arithmetic of the towers."""
        return self.optimiser.precision

    def length(self, pictures: int) -> Clock:
        """Return how long the run is; passes over the `pictures` count where nothing else does."""
        given = self.optimiser
        passes = round(given.epochs * pictures / self.sampling.batch)
        steps = given.steps or (None if given.minutes else passes)
        return Clock(steps, given.minutes or None)

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        if not self.data:
            raise InputError("name the pictures to learn from: --data 'shards/*.tar' or a folder")
        check_device(self.device)
        check_range("threads", self.threads, 1, 1024)
        check_range("log_every", self.log_every, 1, 1_000_000)
        check_range("seed", self.seed, 0, MAX_SEED)
        for section in (self.model, self.sampling, self.optimiser, self.head, self.loss):
            section.check()
        self.teachers.check()
        self._check_together()
        check_state(self)

    def _check_together(self) -> None:
        """Raise `InputError` for options of one section that lack those of another."""
        frozen, loss = "text" in self.model.freeze, self.loss
        if loss.bank and not frozen:
            raise InputError("bank: needs a frozen text tower (--freeze text)")
        if loss.sketches and self.teachers.classifier is None:
            raise InputError("sketches: a classifier must look at them (--classifier FILE)")
        if self.teachers.examiner and not loss.sketches:
            raise InputError("examiner: looks at sketches only (--sketches)")
