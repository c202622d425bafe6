"""Features of a batch → the loss of `guidance.train.clip`, with its parts by name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from open_clip.loss import DistillClipLoss
from torch import Tensor

from guidance.train import losses
from guidance.train.config import ClipOptions
from guidance.train.loader import Batch
from guidance.train.student import Student


@dataclass(frozen=True)
class Lessons:
    """What the teachers say of one batch; None where there is no such teacher.

    Attributes:
        rows: Pictures that the classifier saw, int64 ``[M]``.
        logits: Its class logits ``[M, C]``.
        features: Its pooled features ``[M, K]``.
        classes: Text embeddings of the classes, by the student's own text tower ``[C, D]``.
        clip: Image and text embeddings of a CLIP teacher, and its scale.
        sentences: Sentence embeddings of the captions and the extra texts ``[n + E, D]``.
    """

    rows: Tensor | None = None
    logits: Tensor | None = None
    features: Tensor | None = None
    classes: Tensor | None = None
    clip: tuple[Tensor, Tensor, float] | None = None
    sentences: Tensor | None = None


class Objective:
    """The loss of one pass, with the queues it keeps between steps."""

    def __init__(self, options: ClipOptions, dim: int, device: torch.device) -> None:
        self.options = options
        self.images = losses.Queue(options.loss.bank, dim, device)
        self.texts = losses.Queue(options.loss.bank, dim, device)
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
        texts, weight = read[:n], self.options.teachers
        parts = {
            "to text": self.contrast(images[:n], texts, self.texts, student.scale, batch, lessons),
            "to image": self.contrast(texts, images, self.images, student.scale, batch, lessons),
        }
        total = (parts["to text"] + parts["to image"]) / 2
        extra: dict[str, tuple[float, Tensor]] = {}
        if lessons.logits is not None:
            logits = student.class_scale.exp() * images[lessons.rows] @ lessons.classes.T
            extra["knowledge"] = weight.knowledge, losses.knowledge(logits, lessons.logits)
        if lessons.features is not None and weight.hint:
            pooled = student.hint(seen[lessons.rows, student.dim :])
            extra["hint"] = weight.hint, losses.relative(pooled, lessons.features)
        if lessons.clip is not None:
            pair = self.distil(images[:n], texts, student.scale, *lessons.clip)
            extra["distil"] = weight.distil, pair[1]
        if lessons.sentences is not None and weight.sentence:
            extra["sentence"] = weight.sentence, 1 - (read * lessons.sentences).sum(-1).mean()
        for name, (factor, part) in extra.items():
            total, parts[name] = total + factor * part, part
        return total, {k: v.item() for k, v in parts.items()}

    def contrast(
        self,
        queries: Tensor,
        keys: Tensor,
        queue: losses.Queue,
        scale: Tensor,
        batch: Batch,
        lessons: Lessons,
    ) -> Tensor:
        """Cross-entropy of `queries` ``[n, D]`` against `keys` ``[N, D]`` and the queue.

        Pictures and texts of one group or caption match. Those in the queue that would match, and
        captions that mean nearly the same, are left out.
        """
        n = len(queries)
        own = losses.matches(batch.captions, batch.groups, batch.captions, batch.groups)
        old = losses.matches(batch.captions, batch.groups, queue.captions, queue.groups)
        positive = F.pad(own, (0, len(keys) + len(queue.features) - n))
        ignore = torch.cat([F.pad(own, (0, len(keys) - n)), old], 1)
        if lessons.sentences is not None:
            s = lessons.sentences[:n]
            ignore[:, :n] |= s @ s.T > losses.SAME_MEANING
        return losses.contrast(queries, torch.cat([keys, queue.features]), scale, positive, ignore)

    def remember(self, seen: Tensor, read: Tensor, batch: Batch, dim: int) -> None:
        """Push this step's features into the queues."""
        n, rest = len(batch.captions), len(seen) - len(batch.captions)
        captions, groups = (F.pad(x, (0, rest), value=-1) for x in (batch.captions, batch.groups))
        with torch.no_grad():
            self.images.push(F.normalize(seen[:, :dim], dim=-1), captions, groups)
            self.texts.push(F.normalize(read[:n], dim=-1), batch.captions, batch.groups)
