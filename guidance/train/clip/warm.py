"""The end of the towers first: what comes last learns on cached activations of what comes before.

A projection that fits lets the fine-tuning that follows keep what the tower knows (linear probing,
then fine-tuning; Kumar et al. 2022, arXiv:2202.10054). The activations of a few augmented views of
every picture are computed once; after that a step costs next to nothing, so batches can be large,
and the text tower and the last stages of the image tower can learn along.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn

from guidance.errors import InputError
from guidance.train.clip.loader import Batch, Plan
from guidance.train.clip.objective import Classified, Lessons
from guidance.train.clip.optimiser import adamw
from guidance.train.clip.passes import Passes
from guidance.train.clip.teachers import CLASSES
from guidance.train.loop.log import shown
from guidance.train.loop.trainer import Trainer

RATE = 1e-3  # of the head, whatever the rest learns at


def check(passes: Passes) -> None:
    """Raise `InputError` unless the run has a tower that can be divided."""
    trunk = getattr(passes.student.network.visual, "trunk", None)
    stages = passes.options.head.head_stages
    if trunk is None or passes.student.hint is None:
        raise InputError("head_views: this image tower has no timm trunk with a head")
    if stages and not (hasattr(trunk, "conv_stem") and hasattr(trunk, "bn2")):
        raise InputError("head_stages: the image tower is no EfficientNet of timm")
    if stages and stages > len(trunk.blocks):
        raise InputError(f"head_stages: the image tower has {len(trunk.blocks)} stages")


def divide(trunk: Any, stages: int) -> tuple[Callable, Callable]:
    """Return what a timm `trunk` does before its last `stages`, and from there to the pooling."""
    if not stages:
        return trunk, lambda pooled: pooled

    def early(x: Tensor) -> Tensor:
        x = trunk.bn1(trunk.conv_stem(x))
        for block in trunk.blocks[:-stages]:
            x = block(x)
        return x

    def late(x: Tensor) -> Tensor:
        for block in trunk.blocks[-stages:]:
            x = block(x)
        return trunk.forward_head(trunk.bn2(trunk.conv_head(x)), pre_logits=True)

    return early, late


@dataclass
class Cache:
    """Of some views of the pictures that take part.

    Attributes:
        place: Where a picture lies in the others, by its row; int64 ``[N]``, -1 for nowhere.
        inputs: Activations, float16 ``[V, M, ...]``.
        taught: Which pictures the classifiers saw, bool ``[M]``; None without a classifier.
        said: Their class logits and, if there are hints, pooled features of those, float16
            ``[V, M, C + K]``; empty if they saw none.
    """

    place: Tensor
    inputs: Tensor
    taught: Tensor | None
    said: Tensor


def chosen(passes: Passes) -> np.ndarray:
    """Return the rows of the pictures that take part, in order: all, or some by their weight."""
    loader, count = passes.loader, passes.options.head.head_pictures
    able = int((np.diff(loader.lot.chances, prepend=0) > 0).sum())
    if not count or count >= able:
        return np.arange(len(loader.samples))
    loader.lot = loader.lot.some(np.random.default_rng(passes.options.seed), count)
    return np.flatnonzero(np.diff(loader.lot.chances, prepend=0))


@torch.no_grad()
def fill(passes: Passes, early: Callable) -> Cache:
    """Run the early part of the tower, and the classifiers, on the views of the pictures."""
    loader, student, given = passes.loader, passes.student, passes.options.head
    panel, all_rows = passes.teachers.panel, chosen(passes)
    count, known = len(all_rows), None if passes.teachers.hints else CLASSES
    place = torch.full((len(loader.samples),), -1)
    place[torch.from_numpy(all_rows)] = torch.arange(count)
    rng = np.random.default_rng(passes.options.seed)
    taught = torch.from_numpy(rng.random(count) < given.head_taught) if panel else None
    inputs, said = torch.empty(0), torch.empty(0)  # until their shapes are known
    begin, size = time.perf_counter(), loader.options.batch
    for view in range(given.head_views):
        for start in range(0, count, size):
            rows = slice(start, min(start + size, count))
            batch = draw(passes, view, all_rows[rows])
            parts = batch.images.split(passes.part)
            seen = passes.forward(lambda x: early(student.normalised(x)), parts, learn=False)
            seen = seen.features.half()
            if not len(inputs):
                inputs = seen.new_empty((given.head_views, count, *seen.shape[1:]), device="cpu")
            inputs[view, rows] = seen.cpu()
            if panel and taught is not None and taught[rows].any():
                clean = batch.clean[taught[rows].to(batch.clean.device)]
                told = torch.cat(passes.chunks.map(panel, clean.split(passes.part)))[:, :known]
                if not len(said):
                    said = told.new_zeros(
                        (given.head_views, count, told.shape[1]), dtype=torch.half, device="cpu"
                    )
                said[view, rows][taught[rows]] = told.half().cpu()
            if start // size % 50 == 49:
                speed = (view * count + start + size) / (time.perf_counter() - begin)
                print(f"views {view + 1}: {rows.stop} of {count}, {speed:.0f}/s", flush=True)
    return Cache(place, inputs, taught, said)


def draw(passes: Passes, view: int, numbers: np.ndarray) -> Batch:
    """Return one augmented view of the pictures `numbers`, in their order."""
    loader = passes.loader
    seed = int(np.random.default_rng([passes.options.seed, view, numbers[0]]).integers(2**62))
    none = np.zeros(0, int)
    plan = Plan(numbers, none, none, seed)
    pictures = loader.pool.map(lambda i: loader.decode(plan, i), range(len(numbers)))
    return loader.render(plan, list(pictures))


@contextlib.contextmanager
def dropping(head: nn.Module, share: float) -> Generator[None]:
    """Let an MLP `head` do without a share of its hidden features in here."""
    drops = [module.drop1 for module in head.modules() if isinstance(module, Mlp)]
    before = [drop.p for drop in drops]
    for drop in drops:
        drop.p = share
    try:
        yield
    finally:
        for drop, p in zip(drops, before, strict=True):
            drop.p = p


def classified(
    passes: Passes, cache: Cache, view: Tensor, rows: Tensor, step: int
) -> Classified | None:
    """Return what the classifiers said of these views of the cache's `rows`, None if nothing."""
    teachers, known = passes.teachers, cache.taught
    if known is None or not known[rows].any():
        return None
    which = known[rows].nonzero()[:, 0]
    said = cache.said[view[which], rows[which]].to(passes.device).float()
    return Classified(
        which.to(passes.device),
        said[:, :CLASSES],
        teachers.class_embeddings(step),
        said[:, CLASSES:] if teachers.hints else None,
    )


def train_head(passes: Passes, trainer: Trainer) -> None:
    """Train head, text side and the last stages on cached views; see `HeadOptions`."""
    check(passes)
    given, student = passes.options.head, passes.student
    student.eval()
    early, late = divide(student.network.visual.trunk, given.head_stages)
    lot = passes.loader.lot
    cache = fill(passes, early)
    student.tune(passes.options.model)
    with dropping(student.network.visual.head, given.head_drop):
        take_steps(passes, trainer, cache, late)
    passes.loader.lot = lot


def take_steps(passes: Passes, trainer: Trainer, cache: Cache, late: Callable) -> None:
    """Make the steps of the head phase on `cache`; `late` is what the cache leaves to do."""
    given, student, loader = passes.options.head, passes.student, passes.loader

    def see(x: Tensor) -> Tensor:
        pooled = late(x)
        head = student.network.visual.head
        return torch.cat([head(F.dropout(pooled, given.head_drop)), pooled], 1)

    steps = max(1, round(given.head_epochs * cache.inputs.shape[1] / given.head_batch))
    before, loader.options = loader.options, replace(loader.options, batch=given.head_batch)
    factor = max(RATE / passes.options.rate, 1.0)
    trainer.restart([adamw(student, passes.options.optimiser, factor, factor)])
    begin = time.perf_counter()
    for step in range(steps):
        plan = loader.plan(step + 1_000_000_000)  # none of the training's own
        n = len(plan.captions)  # pictures without a caption stay away: the loss wants pairs only
        rows = cache.place[torch.from_numpy(plan.rows[:n])]
        view = torch.from_numpy(np.random.default_rng(plan.seed).integers(given.head_views, size=n))
        inputs = cache.inputs[view, rows].to(passes.device)
        captions, groups = (
            torch.from_numpy(x).to(passes.device) for x in (plan.captions, plan.groups)
        )
        batch = Batch(inputs, inputs, captions, groups)
        passes.rng.manual_seed(plan.seed)
        words, extra = passes.teachers.words(batch, passes.rng)
        lessons = Lessons(**words, classified=classified(passes, cache, view, rows, step))
        seen = passes.forward(see, inputs.float().split(4 * passes.part))
        parts = passes.learn(batch, seen, 1.0, lessons, extra)
        trainer.update(step / steps)
        if step % 50 == 49 or step == steps - 1:
            rate = (step + 1) / (time.perf_counter() - begin)
            print(f"head {step + 1} of {steps}  {shown(parts)}  {rate:.2f} step/s", flush=True)
    loader.options = before


HINT_BATCHES = 40
HINT_RIDGE = 1e-3  # of the features' mean square


@torch.no_grad()
def fit_hint(passes: Passes) -> None:
    """Fit the map of hints to a tower that came without it, by least squares on a few batches.

    Otherwise the first steps would bend the tower to a map that knows nothing yet.

    Raises:
        ValueError: there is no such map, or no classifier to fit it to.
    """
    student, classifier, dim = passes.student, passes.teachers.classifier, passes.student.dim
    if classifier is None:
        raise ValueError("there is no classifier to fit the map of hints to")
    weight = student.hint_map.weight
    gram, cross = torch.zeros_like(weight), torch.zeros_like(weight)
    for number, batch in enumerate(passes.loader.batches(2_000_000_000)):
        if number == HINT_BATCHES:
            break
        parts = batch.images.split(passes.part)
        own = passes.forward(student.look, parts, learn=False).features[:, dim:]
        looked = passes.chunks.map(classifier, batch.clean.split(passes.part))
        gram, cross = gram + own.T @ own, cross + own.T @ torch.cat(looked)[:, 1000:]
    ridge = HINT_RIDGE * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
    weight.copy_(torch.linalg.solve(gram + ridge, cross).T)
