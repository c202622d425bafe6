"""One run of `guidance.train.clip`: its data, student, teachers and how they meet in a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.data import shards
from guidance.train.clip import model, start
from guidance.train.clip.adversarial import Fooling, attack
from guidance.train.clip.loader import Batch
from guidance.train.clip.moments import Moments
from guidance.train.clip.optimiser import adamw
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.passes import Passes
from guidance.train.clip.retrieval import Held
from guidance.train.clip.sketches import Sketches, Subjects
from guidance.train.clip.warm import fit_hint, train_head
from guidance.train.loop import schedule, trainer

SKETCH_AFTER = 40  # steps, from which on the classes' mean pictures are worth drawing


class Trainer(trainer.Trainer[ClipOptions, Batch]):
    """The training of a CLIP; `passes` has the towers, the others what steps leave behind."""

    def read(self) -> None:
        """Open the data and the architecture's configuration."""
        given = self.options
        self.config = model.read_config(given.model.architecture, given.model.init)
        self.data = shards.read(given.data)
        self.held = Held(shards.read(given.val) if given.val else None, self.config, self.device)
        self.result = given.out / "clip"

    def build(self) -> None:
        """Build student and teachers, and what is kept from step to step."""
        given = self.options
        self.passes = Passes(given, self.config, self.data, self.device, self.chunks)
        self.network = self.student = self.passes.student
        self.pictures = len(self.data)
        self.clip_norm = given.optimiser.clip_norm
        self.optimisers = [adamw(self.student, given.optimiser, given.optimiser.head_factor)]
        self.fooling = Fooling(given.loss.fooling)
        self.moments = Moments()
        self.sketches = Sketches(given.loss.sketches, self.passes.size)
        self.warm = False

    def batches(self, start: int) -> Iterator[Batch]:
        """Yield batches of pairs."""
        return self.passes.loader.batches(start)

    def schedule(self, done: float) -> float:
        """Return the factor of the learning rate: linear warm-up, then a cosine."""
        return schedule.warm_cosine(done, self.options.optimiser.warmup)

    def begin(self) -> None:
        """Train the end of the towers first, if asked to, and fit what the start lacks."""
        given, teachers = self.options, self.passes.teachers
        if given.head.head_views and not self.warm:
            train_head(self.passes, self)
            self.restart([adamw(self.student, given.optimiser, given.optimiser.head_factor)])
            self.warm = True
            self.save()
            self.saved()
        if not self.step and not self.student.hinted and teachers.hints:
            fit_hint(self.passes)

    def gradients(self, batch: Batch, done: float) -> dict[str, float]:
        """Learn from a batch and, with ``--eps``, from the same pictures moved against the loss."""
        passes, rng = self.passes, self.passes.rng
        eps = self.options.loss.eps * min(1.0, 0.25 + done)
        rng.manual_seed(int(np.random.default_rng([self.options.seed, self.step]).integers(2**62)))
        batch = self.sketch(self.fooling.mix(batch, rng))
        lessons, extra = passes.teachers.teach(batch, self.step, rng)
        weight = 0.5 if eps else 1.0
        seen, views = passes.look(batch.images, watch=bool(eps))
        parts = passes.learn(batch, seen, weight, lessons, extra)
        if self.sketches.count and (told := lessons.classified):
            plain = told.rows < len(batch.images) - batch.sketches
            images = F.normalize(seen.features[told.rows[plain], : self.student.dim], dim=-1)
            self.moments.add(images, told.logits[plain])
        if eps:
            grad = torch.cat([v.grad for v in views if v.grad is not None])
            length = eps * batch.images.shape[-1] / passes.size  # per pixel, whatever the side
            moved = attack(batch.images, grad, length, self.step, rng)
            self.fooling.keep(moved, batch)
            more = passes.learn(batch, passes.look(moved)[0], weight, lessons, extra)
            parts |= {"attacked " + k: v for k, v in more.items() if k.startswith("to ")}
        return parts | {"scale": self.student.scale.item()}

    def sketch(self, batch: Batch) -> Batch:
        """Add what the student draws itself, once it is known what the classes are like."""
        if not self.sketches.count or self.moments.batches < SKETCH_AFTER:
            return batch
        student, teachers = self.student, self.passes.teachers

        def look(views: Tensor) -> Tensor:
            with self.mixed():
                return F.normalize(student.look(views).float()[:, : student.dim], dim=-1)

        with torch.no_grad():
            texts = student.place(teachers.class_embeddings(self.step))
        subjects = Subjects(self.moments.class_images(), texts, self.moments.centre, teachers.embed)
        return self.sketches.join(batch, look, subjects, self.chunks, self.step, self.passes.rng)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return super().state() | {
            "fooling": self.fooling.kept, "warm": self.warm,
            "sketches": self.sketches.state, "moments": self.moments.state,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        super().load(state)
        self.fooling.kept, self.warm = state["fooling"], state["warm"]
        self.sketches.state, self.moments.state = state["sketches"], state["moments"]

    def parts(self) -> dict[str, trainer.Stateful]:
        """Return the student under the name that checkpoints have."""
        return {"student": self.student}

    def exported(self) -> dict[str, Tensor]:
        """Return the averaged open_clip state dict."""
        return start.exported(self.student.network, self.average.state)

    def export(self) -> None:
        """Write the folder ``clip``."""
        model.save_folder(self.config, self.exported(), self.result)

    def saved(self) -> None:
        """Measure retrieval on held-out pairs."""
        self.held.measure(self.log, self.step, self.exported())


def train(options: ClipOptions) -> None:
    """Run ``python -m guidance.train.clip``."""
    Trainer(options).run()
