"""Features of a batch → the loss of `guidance.train.clip`, with its parts by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from open_clip.loss import DistillClipLoss
from torch import Tensor

from guidance.train import losses
from guidance.train.clip.loader import Batch
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.student import Student


@dataclass(frozen=True)
class Classified:
    """What a classifier says of pictures of one batch.

    Attributes:
        rows: Pictures that it saw, int64 ``[M]``.
        logits: Its class logits ``[M, C]``.
        classes: Text embeddings of the classes, by the student's own text tower ``[C, D]``; before
            the student's map.
        features: Its pooled features of those that are no sketches, which come first ``[m, K]``;
            None if there are no hints.
    """

    rows: Tensor
    logits: Tensor
    classes: Tensor
    features: Tensor | None = None


@dataclass(frozen=True)
class Lessons:
    """What the teachers say of one batch; None where there is no such teacher.

    Attributes:
        classified: What the classifier says of some of the pictures.
        clip: Image and text embeddings of a CLIP teacher, and its scale.
        anchors: Its image embeddings, where the student's should stay near them ``[n, D]``.
        sentences: Sentence embeddings of the captions and the extra texts ``[n + E, D]``.
        meaning: Unit embeddings of all captions ``[T, D]``, to tell which mean the same.
        texts: More texts that match none of the pictures, or only by chance; before the student's
            map.
    """

    classified: Classified | None = None
    clip: tuple[Tensor, Tensor, float] | None = None
    anchors: Tensor | None = None
    sentences: Tensor | None = None
    meaning: Tensor | None = None
    texts: losses.Keys | None = None


class Objective:
    """The loss of one pass.

    Pictures of earlier steps are no negatives (cross-batch memory, Wang et al. 2020): they are
    those of an older tower, and it pays to move all new ones away from them, towards the texts.
    """

    def __init__(self, options: ClipOptions) -> None:
        self.options = options
        self.distil = DistillClipLoss()

    def __call__(
        self, student: Student, seen: Tensor, read: Tensor, batch: Batch, lessons: Lessons
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and its parts.

        Args:
            student: For its temperatures and its map of hints.
            seen: Image embeddings and pooled features ``[N, D + K]``, not normalised.
            read: Text embeddings of the captions and then the extra texts ``[n + E, D]``, not
                normalised.
            batch: Captions and groups.
            lessons: Of the teachers.
        """
        n = len(batch.captions)
        images = F.normalize(seen[:, : student.dim], dim=-1)
        read = F.normalize(read, dim=-1)
        weight = self.options.teachers
        own = losses.Keys(images[:n], batch.captions, batch.groups)
        pictures = self.keys(images, batch)
        texts = losses.Keys(read[:n], batch.captions, batch.groups)
        more = None
        if lessons.texts:
            more = replace(lessons.texts, features=student.place(lessons.texts.features))
        scale, meaning = student.scale, lessons.meaning
        parts = {
            "to text": contrast(own, texts, more, scale, meaning),
            "to image": contrast(texts, pictures, None, scale, meaning),
        }
        total = (parts["to text"] + parts["to image"]) / 2
        extra: dict[str, tuple[float, Tensor]] = {}
        if (told := lessons.classified) is not None:
            classes = student.place(told.classes)
            logits = student.class_scale.exp() * images[told.rows] @ classes.T
            extra["knowledge"] = weight.knowledge, losses.knowledge(logits, told.logits)
            if told.features is not None and weight.hint:
                plain = told.rows[: len(told.features)]
                pooled = student.hint_map(seen[plain, student.dim :])
                extra["hint"] = weight.hint, losses.relative(pooled, told.features)
        if lessons.clip is not None:
            pair = self.distil(own.features, texts.features, scale, *lessons.clip)
            extra["distil"] = weight.distil, pair[1]
        if lessons.anchors is not None:
            extra["anchor"] = weight.anchor, 1 - (own.features * lessons.anchors).sum(-1).mean()
        if lessons.sentences is not None and weight.sentence:
            extra["sentence"] = weight.sentence, 1 - (read * lessons.sentences).sum(-1).mean()
        for name, (factor, part) in extra.items():
            total, parts[name] = total + factor * part, part
        return total, {k: v.item() for k, v in parts.items()}

    def keys(self, images: Tensor, batch: Batch) -> losses.Keys:
        """Return the pictures ``[N, D]`` of a batch with their captions, -1 for none."""
        images = images[: len(images) - batch.sketches]  # what they show, the classifier says
        rest = len(images) - len(batch.captions)
        numbers = (F.pad(x, (0, rest), value=-1) for x in (batch.captions, batch.groups))
        return losses.Keys(images, *numbers)


def contrast(
    queries: losses.Keys,
    keys: losses.Keys,
    more: losses.Keys | None,
    scale: Tensor,
    meaning: Tensor | None,
) -> Tensor:
    """Cross-entropy of n queries against N keys, of which the first n are theirs, and M more.

    Pictures and texts of one group or caption match. Those among the M that would match, and
    captions that mean nearly the same, are left out.
    """
    positive = losses.matches(queries, keys)
    ignore, features = torch.zeros_like(positive), keys.features
    if meaning is not None:
        ignore = losses.alike(queries, keys, meaning)
    if more is not None:
        others = losses.matches(queries, more)
        if meaning is not None:
            others |= losses.alike(queries, more, meaning)
        positive = F.pad(positive, (0, len(more.features)))
        ignore, features = torch.cat([ignore, others], 1), torch.cat([features, more.features])
    return losses.contrast(queries.features, features, scale, positive, ignore)
