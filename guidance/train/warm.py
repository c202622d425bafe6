"""The head first: train the image tower's projection on features of the tower as it starts.

A projection that fits lets the fine-tuning that follows keep what the tower knows (linear probing,
then fine-tuning; Kumar et al. 2022, arXiv:2202.10054). The features of a few augmented views of
every picture are computed once; after that a step costs next to nothing.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from guidance.errors import InputError
from guidance.train.loader import Batch, Plan
from guidance.train.objective import Lessons

if TYPE_CHECKING:
    from guidance.train.clip import Trainer

BATCH = 512
RATE = 1e-3


def check(trainer: Trainer) -> None:
    """Raise `InputError` unless the run has a head to train and texts that stay."""
    if trainer.student.hint is None:
        raise InputError("head_views: this image tower has no timm trunk with a head")
    if trainer.teachers.table is None:
        raise InputError("head_views: needs a frozen text tower (--freeze text)")


@torch.no_grad()
def features(trainer: Trainer, view: int) -> Tensor:
    """Return pooled features of one augmented view of every picture, float16 ``[N, K]``."""
    loader, trunk = trainer.loader, trainer.student.network.visual.trunk
    size, out, begin = loader.options.batch, [], time.perf_counter()
    count = len(loader.samples)
    dim = trainer.student.dim
    trunk.eval()
    for start in range(0, count, size):
        rows = np.arange(start, min(start + size, count))
        seed = int(np.random.default_rng([trainer.options.seed, view, start]).integers(2**62))
        none = np.zeros(0, int)
        plan = Plan(rows, none, none, seed)
        pictures = list(loader.pool.map(lambda i, p=plan: loader.decode(p, i), range(len(rows))))
        batch = loader.render(plan, pictures)
        seen = trainer.forward(trainer.student.look, batch.images.split(trainer.part))
        out.append(seen.features[:, dim:].half().cpu())
        if start // size % 50 == 49:
            speed = (start + size) / (time.perf_counter() - begin)
            print(
                f"features, view {view + 1}: {start + size} of {count}, {speed:.0f}/s", flush=True
            )
    return torch.cat(out)


def train_head(trainer: Trainer, views: int, epochs: int) -> None:
    """Train head and text map on `views` views of every picture for `epochs` passes."""
    check(trainer)
    seen = torch.stack([features(trainer, v) for v in range(views)])
    loader, student, device = trainer.loader, trainer.student, trainer.device
    head = student.network.visual.head
    learned = [*head.parameters(), student.network.logit_scale]
    learned += [] if student.map is None else [*student.map.parameters()]
    optimiser = torch.optim.AdamW(learned, lr=RATE, weight_decay=0.05)
    steps = max(1, round(epochs * len(loader.samples) / BATCH))
    options = replace(loader.options, batch=BATCH)
    given, loader.options = loader.options, options
    drop = nn.Dropout(0.3)
    begin = time.perf_counter()
    for step in range(steps):
        plan = loader.plan(step + 1_000_000_000)  # none of the training's own
        pick = np.random.default_rng(plan.seed).integers(views, size=len(plan.rows))
        pooled = seen[torch.from_numpy(pick), torch.from_numpy(plan.rows)].to(device).float()
        captions, groups = (torch.from_numpy(x).to(device) for x in (plan.captions, plan.groups))
        batch = Batch(pooled, pooled, captions, groups)
        trainer.rng.manual_seed(plan.seed)
        lessons = Lessons(
            meaning=trainer.teachers.meaning, texts=trainer.teachers.more(trainer.rng)
        )
        texts = student.place(trainer.teachers.table[captions])
        both = torch.cat([head(drop(pooled)), pooled], 1)
        loss, parts = trainer.objective(student, both, texts, batch, lessons)
        shape = min(1.0, step / 50) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = RATE * max(float(shape), 0.01)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 99 or step == steps - 1:
            shown = "  ".join(f"{k} {v:.3g}" for k, v in parts.items())
            rate = (step + 1) / (time.perf_counter() - begin)
            print(f"head {step + 1} of {steps}  {shown}  {rate:.1f} step/s", flush=True)
    loader.options = given
    student.zero_grad()
    student.tune(trainer.options.model)
    trainer.averaged = {k: v.clone() for k, v in student.state_dict().items()}
