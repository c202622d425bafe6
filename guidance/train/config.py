"""The options of a CLIP training, from a TOML file and the command line.

``--config`` names one of the files in ``guidance/train/configs`` or a path; every value in it can
be overridden on the command line by its own name.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from guidance.command.cli import Several, take_option
from guidance.command.options import from_table
from guidance.conventions import MAX_SEED, check_range, resolve_device
from guidance.errors import FileError, InputError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = Path(__file__).parent / "configs"
TURNS = 4  # a quarter of the sketches goes on in each step of the training
Tower = Literal["image", "text"]


@dataclass(frozen=True)
class ModelOptions:
    """What is trained, and where it starts."""

    architecture: str = "tiny"
    """A name in guidance/clip/configs ("mini", "mini-guide", "tiny"), any open_clip architecture
    ("ViT-B-32"), or the path of an open_clip_config.json."""
    init: str = ""
    """Start from these weights: a CLIP as for --clip ("ViT-B-32/openai", "runs/a/clip"), or the
    state.pt of a run, whose averaged weights are taken."""
    blend: float = 1.0
    """Share of --init in the start; the rest is what the run would start from without it (Wortsman
    et al. 2022, arXiv:2109.01903)."""
    fresh_head: bool = False
    """Start the image tower's head anew, not from --init: one that learned on cached views may know
    them by heart."""
    image_init: Path | None = None
    """ImageNet classifier (see --classifier-model) that the image tower's trunk starts from."""
    text_init: Path | None = None
    """Text tower to start from: safetensors with the names of open_clip's text tower or of a whole
    CLIP."""
    freeze: Several[tuple[Tower, ...]] = ()
    """Tower to keep as it is: image (LiT, Zhai et al. 2022) or text; may be repeated."""
    text_map: bool = False
    """Learn a linear map of a frozen text tower's embeddings, folded into its projection at the
    end: the pictures can move the texts without any of them being forgotten."""
    frozen_stages: int = 0
    """Keep the stem and this many stages of a timm image tower as they are: a cheaper step."""
    batchnorm: Literal["train", "fixed"] = "train"
    """fixed keeps the statistics and runs batch normalisation as in inference."""


@dataclass(frozen=True)
class SamplingOptions:
    """Which pictures a step sees, and how."""

    batch: int = 256
    """Pictures per step."""
    accumulate: int = 1
    """Parts that a batch is run in, to save memory; the loss still compares all of it (Gao et al.
    2021, arXiv:2101.06983)."""
    side: int = 0
    """Pixels of the crops; 0 is the model's own size. Fewer are faster."""
    augment: Literal["guidance", "crop", "none"] = "guidance"
    """guidance: as the cutouts of the guidance loop, with noise, blur, holes and backgrounds;
    crop: random resized crops and flips; none: the whole picture."""
    min_crop: float = 0.55
    """Side of the smallest crop, as a fraction of the picture's."""
    colour: float = 1.0
    """How much the guidance augmentation changes colours; 0 leaves them as they are."""
    weights: dict[str, float] = field(default_factory=dict)
    """How often pictures are drawn: source, group, tag or pattern ("iconify:*") to factor."""
    workers: int = 2
    """Threads that decode pictures."""


@dataclass(frozen=True)
class OptimiserOptions:
    """AdamW with a linear warm-up and a cosine (Radford et al. 2021, section 2.5)."""

    epochs: float = 10.0
    """Length of the run, in pictures of the data set, if neither steps nor minutes are given."""
    steps: int = 0
    """Length in steps; 0 is no limit."""
    minutes: float = 0.0
    """Length in minutes of wall-clock; 0 is no limit."""
    rate: float = 5e-4
    """Peak learning rate."""
    head_factor: float = 1.0
    """The image tower's projection learns this many times as fast."""
    text_factor: float = 1.0
    """The text tower learns this many times as fast."""
    weight_decay: float = 0.1
    """For weights of two and more dimensions."""
    warmup: float = 0.08
    """Share of the run in which the rate rises."""
    clip_norm: float = 1.0
    """Longest gradient."""
    ema: float = 0.997
    """Decay of the weight average that is exported; 0 exports the weights themselves."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Arithmetic of the towers (autocast); the losses are in float32."""


@dataclass(frozen=True)
class HeadOptions:
    """Before anything else train the end of the towers on cached views of every picture.

    Linear probing, then fine-tuning (Kumar et al. 2022, arXiv:2202.10054). The text tower learns
    along unless it is frozen; --epochs 0 ends the run here. A CLIP teacher, adversarial steps and
    pictures without a caption take no part. The activations stay in memory.
    """

    head_views: int = 0
    """Views of every picture; 0 leaves this out."""
    head_epochs: float = 20.0
    """Passes over all pictures."""
    head_batch: int = 512
    """Pictures per step."""
    head_stages: int = 0
    """Last stages of an EfficientNet of timm that learn along, at the learning rate."""
    head_taught: float = 0.5
    """Share of the pictures that the classifier looks at, if there is one."""
    head_drop: float = 0.5
    """Share of the pooled features, and of the hidden ones of an MLP head, that it does without
    while it learns; the cached views are few and soon known by heart."""


@dataclass(frozen=True)
class TeacherOptions:
    """What the model learns from besides its pairs."""

    classifier: Path | None = None
    """ImageNet weights of a timm model: an image teacher."""
    classifier_model: str = "tf_efficientnet_lite0"
    """Its timm name."""
    knowledge: float = 1.0
    """Weight of the KL divergence to the classifier, over the class names as texts."""
    examiner: Path | None = None
    """With --sketches: ImageNet weights of another timm model, which looks at these instead: one
    that the tower did not start from is not taken in by what takes in the tower."""
    examiner_model: str = "tf_efficientnet_lite2"
    """Its timm name."""
    examiner_side: int = 192
    """Pixels that sketches are enlarged to for it."""
    hint: float = 0.0
    """Weight of the distance to its pooled features, if the tower has the same trunk."""
    teacher: str = ""
    """A CLIP as for --clip: a teacher of similarities."""
    distil: float = 1.0
    """Weight of the cross-entropy with that CLIP's similarities in the batch."""
    anchor: float = 0.0
    """Weight of the cosine distance to that CLIP's embedding of the picture before noise, blur and
    attack (FARE, Schlarmann et al. 2024, arXiv:2402.12336): what was built on the embeddings
    of an earlier version keeps working."""
    sentences: Path | None = None
    """Folder of `guidance.train.text embed`: a text teacher; it also tells which captions mean
    nearly the same and so are no mismatch."""
    sentence: float = 0.0
    """Weight of the cosine distance of the text tower to it."""


@dataclass(frozen=True)
class LossOptions:
    """Negatives and adversarial steps."""

    bank: int = 0
    """With --freeze text: that many other captions as more negatives for each picture."""
    scale: float = 14.3
    """Start of the learned scale (inverse temperature) of the cosines; at most 100."""
    fooling: int = 0
    """With --eps: pictures of nothing that are kept and attacked again and again, so that what
    guidance could make of strokes and noise matches no caption."""
    sketches: int = 0
    """With --classifier: drawings in progress that the tower makes of ImageNet's classes and of
    training pictures while it learns, for the classifier to say what it sees; a multiple of 4."""
    eps: float = 0.0
    """Largest L2 length of an adversarial step on the pictures, in [0, 1] pixel units at the
    model's own size; 0 is plain training."""


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
    model: ModelOptions = ModelOptions()
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    optimiser: OptimiserOptions = OptimiserOptions()
    head: HeadOptions = HeadOptions()
    teachers: TeacherOptions = TeacherOptions()
    loss: LossOptions = LossOptions()
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

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        if not self.data:
            raise InputError("name the pictures to learn from: --data 'shards/*.tar' or a folder")
        resolve_device(self.device)
        for name, value, low, high in (
            ("batch", self.sampling.batch, 2, 1_000_000),
            ("accumulate", self.sampling.accumulate, 1, self.sampling.batch),
            ("side", self.sampling.side, 0, 1024),
            ("min_crop", self.sampling.min_crop, 0.05, 1),
            ("workers", self.sampling.workers, 1, 256),
            ("steps", self.optimiser.steps, 0, 100_000_000),
            ("head_views", self.head.head_views, 0, 1000),
            ("head_epochs", self.head.head_epochs, 0.001, 10_000),
            ("head_batch", self.head.head_batch, 2, 1_000_000),
            ("head_stages", self.head.head_stages, 0, 100),
            ("head_taught", self.head.head_taught, 0, 1),
            ("head_drop", self.head.head_drop, 0, 0.99),
            ("minutes", self.optimiser.minutes, 0, 1e6),
            ("epochs", self.optimiser.epochs, 0, 1e6),
            ("warmup", self.optimiser.warmup, 0.001, 0.999),
            ("ema", self.optimiser.ema, 0, 0.999999),
            ("blend", self.model.blend, 0, 1),
            ("scale", self.loss.scale, 1, 100),
            ("eps", self.loss.eps, 0, 100),
            ("fooling", self.loss.fooling, 0, 1_000_000),
            ("sketches", self.loss.sketches, 0, 1_000_000),
            ("examiner_side", self.teachers.examiner_side, 32, 1024),
            ("colour", self.sampling.colour, 0, 2),
            ("bank", self.loss.bank, 0, 10_000_000),
            ("threads", self.threads, 1, 1024),
            ("log_every", self.log_every, 1, 1_000_000),
            ("seed", self.seed, 0, MAX_SEED),
        ):
            check_range(name, value, low, high)
        if set(self.model.freeze) == {"image", "text"}:
            raise InputError("freeze: one tower must learn, but both are frozen")
        if self.loss.bank and "text" not in self.model.freeze:
            raise InputError("bank: needs a frozen text tower (--freeze text)")
        if self.loss.fooling and not self.loss.eps:
            raise InputError("fooling: needs adversarial steps (--eps)")
        if self.loss.sketches % TURNS:
            raise InputError(f"sketches must be a multiple of {TURNS} but is {self.loss.sketches}")
        if self.loss.sketches and self.teachers.classifier is None:
            raise InputError("sketches: a classifier must look at them (--classifier FILE)")
        if self.teachers.examiner and not self.loss.sketches:
            raise InputError("examiner: looks at sketches only (--sketches)")
        if self.model.text_map and "text" not in self.model.freeze:
            raise InputError("text_map: needs a frozen text tower (--freeze text)")
        optional = {
            "--image-init": self.model.image_init, "--text-init": self.model.text_init,
            "--classifier": self.teachers.classifier, "--sentences": self.teachers.sentences,
            "--examiner": self.teachers.examiner,
        }  # fmt: skip
        for name, path in optional.items():
            if path is not None and not path.exists():
                raise InputError(f"{name}: {path} does not exist")
        if self.teachers.anchor and not self.teachers.teacher:
            raise InputError("anchor: needs the CLIP to stay near (--teacher)")
        if self.teachers.sentence and self.teachers.sentences is None:
            raise InputError("sentence: a weight needs --sentences FOLDER")
        if not self.resume and (self.out / "state.pt").exists():
            raise InputError(
                f"out: {self.out} holds a run; --resume continues it, or name another folder"
            )
        if self.resume and not (self.out / "state.pt").is_file():
            raise InputError(f"resume: {self.out} holds no state.pt")


def take_config(arguments: list[str]) -> ClipOptions | None:
    """Take ``--config NAME|FILE`` out of `arguments` and return the options it stands for."""
    name = take_option(arguments, "--config", path=True)
    return None if name is None else read_config(name)


def read_config(name: str) -> ClipOptions:
    """Return the options in the shipped config `name`, or in the TOML file of that path.

    Raises:
        InputError: no such config, or a key or a value that the options do not have.
    """
    path = Path(name) if name.endswith(".toml") else CONFIGS / f"{name}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in CONFIGS.glob("*.toml"))
        raise InputError(unknown("config", name, known))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not readable TOML: {error}") from None
    return from_table(ClipOptions, content, str(path))
