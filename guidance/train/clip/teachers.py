"""What a training learns from besides its pairs: batch → `Lessons`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from guidance.clip.classifier import image_classifier
from guidance.clip.model import ClipModel
from guidance.clip.registry import load_clip
from guidance.errors import InputError
from guidance.images.resize import resize
from guidance.train import losses
from guidance.train.clip import model
from guidance.train.clip.loader import Batch
from guidance.train.clip.objective import Classified, Lessons
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.sentences import SentenceTable
from guidance.train.clip.student import Student, class_texts, read_all
from guidance.train.loop.chunks import Chunks

CLASSES = 1000  # of ImageNet
REFRESH = 50  # steps between new embeddings of the class names, while the text tower learns
EXTRA = 0.5  # texts without pictures, per picture, for a text tower that learns from sentences


class Teacher:
    """An ImageNet classifier that sees pictures as they are, or enlarged to `side` pixels."""

    def __init__(self, network: Any, device: torch.device, side: int = 0) -> None:
        # Any: a model of timm, whose classes share no type
        self.side = side
        self.network = network.to(device, memory_format=torch.channels_last).requires_grad_(False)
        mean, std = (network.default_cfg[k] for k in ("mean", "std"))
        self.mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Class logits and pooled features ``[N, C + K]`` of `images` in [0, 1]."""
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        if self.side:
            x = resize(x, (self.side, self.side), antialias=False, clip=False)
        with torch.autocast(images.device.type, torch.bfloat16):
            pooled = self.network.forward_head(self.network.forward_features(x), pre_logits=True)
            logits = self.network.get_classifier()(pooled)
        return torch.cat([logits.float(), pooled.float()], 1)


class Panel:
    """Several classifiers, whose word is one: the mean of their log-probabilities.

    A class must be likely to all of them to be likely to the panel. The features are the first's.
    """

    def __init__(self, members: Sequence[Teacher]) -> None:
        self.members = members

    def __call__(self, images: Tensor) -> Tensor:
        """Class logits and the first's pooled features ``[N, C + K]`` of `images` in [0, 1]."""
        first, *others = (member(images) for member in self.members)
        if not others:
            return first
        said = [x[:, :CLASSES].log_softmax(-1) for x in (first, *others)]
        return torch.cat([torch.stack(said).mean(0), first[:, CLASSES:]], 1)


class Teachers:
    """The teachers of a run.

    Attributes:
        table: Unit embeddings of all captions, if the text tower is frozen; before the student's
            map.
        meaning: The same or, from a sentence encoder, the like; to tell what means the same.
    """

    def __init__(
        self, options: ClipOptions, texts: list[str], student: Student, tokens: Tensor,
        groups: Tensor, chunks: Chunks,
    ) -> None:  # fmt: skip
        given, self.chunks, self.student = options.teachers, chunks, student
        self.device = student.mean.device
        self.learns = "text" not in options.model.freeze
        self.tokens = tokens
        self.table = None if self.learns else read_all(student, tokens, self.device)
        self.classifier: Teacher | None = None
        self.panel: Panel | None = None
        self.examiners: Panel | None = None
        self.taught = given.taught
        self.clip: ClipModel | None = None
        self.sentences: SentenceTable | None = None
        self.classes: Tensor | None = None
        self.hints = bool(given.classifier and given.hint)
        tokenize = model.tokenizer(model.read_config(options.model.architecture))
        if given.classifier:
            network = image_classifier(given.classifier, given.classifier_model)
            self.classifier, self.class_tokens = (
                Teacher(network, self.device),
                tokenize(class_texts()),
            )
            if self.hints and student.hint is None:
                raise InputError("hint: this image tower has no pooled features of a timm trunk")
            more = self.read(given.assistant, given.assistant_side)
            self.panel = Panel([self.classifier, *more])
        if given.examiner:
            self.examiners = Panel(self.read(given.examiner, given.examiner_side))
        if given.teacher:
            self.clip = load_clip(given.teacher, device=self.device)
            self.distils, self.anchors = given.distil > 0, given.anchor > 0
            if self.anchors and (width := self.clip.encode_text(["a"]).shape[1]) != student.dim:
                raise InputError(
                    f"anchor: embeddings of {width} numbers cannot hold one of {student.dim}"
                )
            self.clip_texts = texts
        if given.sentences:
            self.sentences = SentenceTable.load(given.sentences)
            width = self.sentences.embeddings.shape[1]
            if given.sentence and width != student.dim:
                raise InputError(
                    f"sentence: embeddings of {width} numbers cannot teach one of {student.dim}"
                )
            self.rows = self.sentences.rows(texts)
            extra = given.sentence > 0 and self.learns
            self.extra_tokens = tokenize_all(tokenize, self.sentences.texts) if extra else None
        self.bank, self.groups = options.loss.bank, groups
        self.meaning = self.table
        if self.meaning is None and self.sentences:
            self.meaning = F.normalize(self.sentences.embeddings[self.rows].float(), dim=-1)
            self.meaning = self.meaning.half().to(self.device)
        self.part = 16 if self.device.type == "cpu" else options.sampling.batch

    def read(self, files: Sequence[Path], side: int) -> list[Teacher]:
        """Return the classifiers with the weights `files`, which see `side` pixels."""
        return [Teacher(image_classifier(file, ""), self.device, side) for file in files]

    def more(self, rng: Generator) -> losses.Keys | None:
        """Return random captions as more negatives, while the text tower is frozen."""
        if self.table is None or not self.bank:
            return None
        size = (self.bank,)
        pick = torch.randint(len(self.table), size, generator=rng, device=self.device)
        return losses.Keys(self.table[pick], pick, self.groups[pick])

    def teach(self, batch: Batch, step: int, rng: Generator) -> tuple[Lessons, Tensor | None]:
        """Return the lessons on `batch`, and the tokens of extra texts ``[E, L]`` or None."""
        lessons, extra = self.words(batch, rng)
        if self.panel:
            lessons["classified"] = self.classify(self.panel, batch, step, rng)
        if self.clip:
            lessons |= self.compare(self.clip, batch)
        return Lessons(**lessons), extra

    def compare(self, clip: ClipModel, batch: Batch) -> dict:
        """Return what the teacher `clip` makes of the pairs, as fields of `Lessons`."""

        def encode(part: Tensor) -> Tensor:
            # in here, since threads do not inherit it
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
                return clip.encode_image(part).float()

        parts = batch.clean[: len(batch.captions)].split(self.part)
        images, lessons = torch.cat(self.chunks.map(encode, parts)), {}
        if self.anchors:
            lessons["anchors"] = images
        if self.distils:
            texts = clip.encode_text([self.clip_texts[i] for i in batch.captions.tolist()])
            lessons["clip"] = images, texts, clip.logit_scale
        return lessons

    def classify(self, panel: Panel, batch: Batch, step: int, rng: Generator) -> Classified:
        """Return what the classifiers say of a part of the pictures and of all sketches.

        Sketches are the examiners', if there are any: the tower began as the classifier and has
        more or less its weaknesses, so the classifier is taken in by many of them.
        """
        plain = len(batch.clean) - batch.sketches
        count = round(self.taught * plain)
        order = torch.randperm(plain, generator=rng, device=self.device)
        own = torch.arange(plain, len(batch.clean), device=self.device)
        seen = [(panel, order[:count].sort()[0], self.part)]
        if batch.sketches:
            seen.append((self.examiners or panel, own, self.part // 2))
        said = []
        for network, rows, size in seen:
            parts = self.chunks.map(network, batch.clean[rows].split(size))
            said.append(torch.cat(parts))
        return Classified(
            rows=torch.cat([rows for _, rows, _ in seen]),
            logits=torch.cat([part[:, :CLASSES] for part in said]),
            classes=self.class_embeddings(step),
            features=said[0][:, CLASSES:] if self.hints else None,
        )

    def class_embeddings(self, step: int) -> Tensor:
        """Return the unit embeddings of the class names ``[C, D]``, of late."""
        if self.classes is None or (self.learns and step % REFRESH == 0):
            self.classes = read_all(self.student, self.class_tokens, self.device)
        return self.classes

    @torch.no_grad()
    def embed(self, captions: Tensor) -> Tensor:
        """Return the unit embeddings of the texts with the numbers `captions`, ``[n, D]``."""
        if self.table is None:
            texts = read_all(self.student, self.tokens[captions.cpu()], self.device)
            return self.student.place(texts)
        return self.student.place(self.table[captions])

    def words(self, batch: Batch, rng: Generator) -> tuple[dict, Tensor | None]:
        """Return the lessons from texts alone, as fields of `Lessons`, and the extra tokens."""
        lessons: dict = {"meaning": self.meaning, "texts": self.more(rng)}
        extra = None
        if self.sentences:
            rows = self.rows[batch.captions.cpu()]
            if self.extra_tokens is not None:
                count = round(EXTRA * len(batch.images))
                more = torch.randint(
                    len(self.sentences.texts), (count,), generator=rng, device=self.device
                ).cpu()
                rows, extra = torch.cat([rows, more]), self.extra_tokens[more]
            lessons["sentences"] = F.normalize(
                self.sentences.embeddings[rows].to(self.device).float(), dim=-1
            )
        return lessons, extra


def tokenize_all(tokenize, texts: list[str]) -> Tensor:
    """Tokenize many texts: int32 ``[T, L]``."""
    return torch.cat([tokenize(texts[i : i + 4096]).int() for i in range(0, len(texts), 4096)])
