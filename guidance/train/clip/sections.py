"""The sections of the options of a CLIP training; each is a table of a preset's TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from guidance.command.cli import Several
from guidance.conventions import check_range
from guidance.errors import InputError

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

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        check_range("blend", self.blend, 0, 1)
        if set(self.freeze) == {"image", "text"}:
            raise InputError("freeze: one tower must learn, but both are frozen")
        if self.text_map and "text" not in self.freeze:
            raise InputError("text_map: needs a frozen text tower (--freeze text)")
        check_files({"--image-init": self.image_init, "--text-init": self.text_init})


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

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        check_range("batch", self.batch, 2, 1_000_000)
        check_range("accumulate", self.accumulate, 1, self.batch)
        check_range("side", self.side, 0, 1024)
        check_range("min_crop", self.min_crop, 0.05, 1)
        check_range("colour", self.colour, 0, 2)
        check_range("workers", self.workers, 1, 256)


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

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        check_range("steps", self.steps, 0, 100_000_000)
        check_range("minutes", self.minutes, 0, 1e6)
        check_range("epochs", self.epochs, 0, 1e6)
        check_range("warmup", self.warmup, 0.001, 0.999)
        check_range("ema", self.ema, 0, 0.999999)


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
    head_pictures: int = 0
    """Pictures that take part, drawn by their weight; 0 takes all."""
    head_batch: int = 512
    """Pictures per step."""
    head_stages: int = 0
    """Last stages of an EfficientNet of timm that learn along, at the learning rate."""
    head_taught: float = 0.5
    """Share of the pictures that the classifier looks at, if there is one."""
    head_drop: float = 0.5
    """Share of the pooled features, and of the hidden ones of an MLP head, that it does without
    while it learns; the cached views are few and soon known by heart."""

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        check_range("head_views", self.head_views, 0, 1000)
        check_range("head_epochs", self.head_epochs, 0.001, 10_000)
        check_range("head_pictures", self.head_pictures, 0, 1_000_000_000)
        check_range("head_batch", self.head_batch, 2, 1_000_000)
        check_range("head_stages", self.head_stages, 0, 100)
        check_range("head_taught", self.head_taught, 0, 1)
        check_range("head_drop", self.head_drop, 0, 0.99)


@dataclass(frozen=True)
class TeacherOptions:
    """What the model learns from besides its pairs."""

    classifier: Path | None = None
    """ImageNet weights of a timm model: an image teacher."""
    classifier_model: str = "tf_efficientnet_lite0"
    """Its timm name."""
    taught: float = 0.5
    """Share of a batch that the classifier looks at."""
    assistant: Several[tuple[Path, ...]] = ()
    """ImageNet weights of a further EfficientNet-Lite that looks at the same pictures as the
    classifier: what they say is averaged (the mean of the log-probabilities); may be repeated."""
    assistant_side: int = 0
    """Pixels that pictures are enlarged to for the assistants; 0 leaves them as they are."""
    knowledge: float = 1.0
    """Weight of the KL divergence to the classifier, over the class names as texts."""
    examiner: Several[tuple[Path, ...]] = ()
    """With --sketches: ImageNet weights of an EfficientNet-Lite that looks at these instead of the
    classifier: one that the tower did not start from is not taken in by what takes in the tower.
    May be repeated: what takes in one of several need not take in the others."""
    examiner_side: int = 192
    """Pixels that sketches are enlarged to for the examiners."""
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

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        check_range("examiner_side", self.examiner_side, 32, 1024)
        check_range("assistant_side", self.assistant_side, 0, 1024)
        check_range("taught", self.taught, 0, 1)
        check_files({"--classifier": self.classifier, "--sentences": self.sentences})
        for name in ("assistant", "examiner"):
            for file in getattr(self, name):
                check_files({f"--{name}": file})
        if self.assistant and self.classifier is None:
            raise InputError("assistant: there is no classifier to assist (--classifier FILE)")
        if self.anchor and not self.teacher:
            raise InputError("anchor: needs the CLIP to stay near (--teacher)")
        if self.sentence and self.sentences is None:
            raise InputError("sentence: a weight needs --sentences FOLDER")


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

    def check(self) -> None:
        """Raise `InputError` for values that are not allowed; load nothing."""
        check_range("bank", self.bank, 0, 10_000_000)
        check_range("scale", self.scale, 1, 100)
        check_range("fooling", self.fooling, 0, 1_000_000)
        check_range("sketches", self.sketches, 0, 1_000_000)
        check_range("eps", self.eps, 0, 100)
        if self.fooling and not self.eps:
            raise InputError("fooling: needs adversarial steps (--eps)")
        if self.sketches % TURNS:
            raise InputError(f"sketches must be a multiple of {TURNS} but is {self.sketches}")


def check_files(files: dict[str, Path | None]) -> None:
    """Raise `InputError` if one of `files`, by the name of its option, does not exist."""
    for name, path in files.items():
        if path is not None and not path.exists():
            raise InputError(f"{name}: {path} does not exist")
