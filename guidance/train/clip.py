"""Arrays + embeddings → the image tower → one weights file.

The image tower starts from ImageNet weights and keeps its batch normalisation as it is. It learns
against the sentence embeddings of `guidance.train.text` through a linear map W that is folded into
the text tower on export.

Loss per batch: contrast of images and captions in both directions, with more texts and the latest
images as negatives; the KL divergence to an ImageNet classifier over the 1000 class names as
texts; and the distance to that classifier's pooled features. The classifier sees the crop before
noise, blur and holes, so that the tower keeps its knowledge while it learns to see through them,
and through the perturbations below (Schlarmann et al. 2024, arXiv:2402.12336).

With ``--eps`` each step adds a second pass on pictures moved against the loss by one gradient step
(Goodfellow et al. 2015, arXiv:1412.6572, in L2 with a random start); robust networks have
gradients that people can read (Engstrom et al. 2019, arXiv:1906.00945).

    python -m guidance.train.clip --arrays arrays --classifier lite0.pth --text text.safetensors \
        --out run1 --minutes 35
    python -m guidance.train.clip --arrays arrays --classifier lite0.pth --text text.safetensors \
        --out run2 --minutes 45 --init run1/state.pt --eps 1.2 --rate 3e-4
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.train import losses
from guidance.train import model as mini
from guidance.train.batches import TABLES, Batch, Batches
from guidance.train.parallel import Chunks
from guidance.train.student import Teacher, export, start

PART = 16  # pictures per thread and pass
# Pixels that move together in an adversarial step, by turns, and how much further they go:
# what is smooth is harder to mistake.
BLOCKS = ((1, 1.0), (4, 1.5), (8, 2.0))


@dataclass(frozen=True)
class ClipOptions:
    """Options of ``python -m guidance.train.clip``."""

    arrays: Path
    """Folder written by `guidance.train.data` and `guidance.train.text`."""
    classifier: Path
    """EfficientNet-Lite0 ImageNet weights: start of the tower, and the teacher."""
    text: Path
    """Text tower written by `guidance.train.text`."""
    out: Path
    """Folder for ``state.pt`` (to resume) and ``mini-clip.safetensors``."""
    minutes: float = 35.0
    """Wall-clock length; the learning rate follows it."""
    steps: int = 0
    """Length in steps instead, if not 0."""
    init: Path | None = None
    """A ``state.pt`` whose averaged weights start this run."""
    blend: float = 1.0
    """Share of ``--init`` in the start, the rest is what the first run starts from: a straight
    line between the two loses little of what either knows (Wortsman et al. 2022,
    arXiv:2109.01903)."""
    resume: bool = False
    """Continue the run in ``--out``."""
    side: int = 128
    """Pixels of the student's crops; fewer are faster. The teacher sees the model's own size."""
    photos: int = 52
    """Photos per batch."""
    drawings: int = 44
    """Drawings per batch."""
    painted: int = 20
    """Painted pictures per batch."""
    scenes: int = 20
    """Composed scenes per batch."""
    clutter: int = 8
    """Pictures of nothing per batch."""
    rate: float = 3e-4
    """Peak learning rate of the tower; the head learns eight times as fast."""
    eps: float = 0.0
    """Largest L2 length of the adversarial step, in [0, 1] pixel units; 0 is plain training."""
    frozen: int = 0
    """Keep the stem and this many of the trunk's seven stages as they are: a cheaper step."""
    knowledge: float = 1.0
    """Weight of the KL divergence to the classifier."""
    hint: float = 3.0
    """Weight of the squared distance to the classifier's features."""
    bank: int = 4096
    """Captions drawn per step as more negatives, and images kept for the same purpose."""
    average: float = 0.997
    """Decay of the weight average that is exported."""
    every: float = 5.0
    """Minutes between checkpoints."""
    seed: int = 0
    """Seed of batches and augmentations."""
    threads: int = 2
    """CPU threads, each with its own part of the batch."""


class Trainer:
    """One run: data, student, teacher, optimiser, weight average and clock."""

    def __init__(self, options: ClipOptions) -> None:
        self.options = options
        self.config = mini.read_config()
        self.chunks = Chunks(options.threads)
        self.embeddings = torch.from_numpy(np.load(options.arrays / "embeddings.npy"))
        self.classes = torch.from_numpy(np.load(options.arrays / "classes.npy")).float()
        counts = {n: getattr(options, n) for n in (*TABLES, "clutter")}
        size = self.config["model_cfg"]["vision_cfg"]["image_size"]
        self.batches = Batches(options.arrays, counts, size, options.seed)
        self.rng = torch.Generator().manual_seed(options.seed)
        self.queue = losses.Queue(options.bank, self.classes.shape[1])
        self._build()
        self.step, self.spent = 0, 0.0
        if options.resume:
            self._restore(options.out / "state.pt", whole=True)
        elif options.init:
            self._restore(options.init, whole=False)

    def _build(self) -> None:
        self.teacher = Teacher(self.options.classifier)
        self.student = start(self.teacher, self.config, self.classes, self.options.frozen)
        student, visual = self.student, self.student.visual
        groups = [
            {"params": list(visual.trunk.parameters()), "factor": 1.0},
            {"params": [*visual.head.parameters(), *student.hint.parameters()], "factor": 8.0},
            {"params": [student.logit_scale, student.class_scale], "factor": 10.0},
            {"params": list(student.map.parameters()), "factor": 0.3},  # stays near the identity
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-4, weight_decay=0.02, fused=True)
        self.averaged = {k: v.clone() for k, v in student.state_dict().items()}

    def _restore(self, path: Path, whole: bool) -> None:
        state = torch.load(path, weights_only=True)
        if not whole:
            self.averaged = blend(self.averaged, state["averaged"], self.options.blend)
            self.student.load_state_dict(self.averaged)
        else:
            self.averaged = state["averaged"]
            self.student.load_state_dict(state["student"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.spent = state["step"], state["spent"]
            self.batches.rng = np.random.default_rng([self.options.seed, self.step])

    def loss(self, seen: Tensor, taught: tuple, which: Tensor, batch: Batch) -> Tensor:
        """Loss of what the student has `seen`; the teacher `taught` the rows in `which`."""
        images = F.normalize(seen[:, : self.student.dim], dim=-1)
        logits, features = taught
        n = len(batch.texts)
        own = self.embeddings[batch.texts].float()
        pick = torch.randint(len(self.embeddings), (self.options.bank,), generator=self.rng)
        sentences = torch.cat([own, self.embeddings[pick].float()])
        texts = self.student.sentences(sentences)
        scale = self.student.logit_scale.exp()
        same = (batch.groups[:, None] == batch.groups) | (batch.texts[:, None] == batch.texts)
        none = torch.zeros(n, len(sentences) - n, dtype=torch.bool)
        alike = own @ sentences.T > losses.SAME_MEANING
        to_text = losses.contrast(images[:n], texts, scale, torch.cat([same, none], 1), alike)
        clutter = torch.zeros(len(images) - n, own.shape[1])
        known = torch.cat([own, clutter, self.queue.sentences])
        everything = torch.cat([images, self.queue.images])
        none = torch.zeros(n, len(known) - n, dtype=torch.bool)
        alike = own @ known.T > losses.SAME_MEANING
        to_image = losses.contrast(texts[:n], everything, scale, torch.cat([same, none], 1), alike)
        classes = self.student.class_scale.exp() * self.student.sentences(self.classes)
        kept = losses.knowledge(images[which] @ classes.T, logits)
        hint = losses.relative(self.student.hint(seen[which, self.student.dim :]), features)
        if self.step > 100:
            self.queue.push(images, torch.cat([own, clutter]))
        self.parts = (to_text.item(), to_image.item(), kept.item(), hint.item())
        kept = self.options.knowledge * kept + self.options.hint * hint
        return (to_text + to_image) / 2 + kept

    def train_step(self, done: float) -> float:
        """One optimiser step at fraction `done` of the run; returns the loss."""
        batch = self.batches.plan()
        clean, images = map(
            torch.cat, zip(*self.chunks.map(self.batches.render, batch.plans), strict=True)
        )
        images = shrink(images, self.options.side)
        which = torch.randperm(len(images), generator=self.rng)[: len(images) // 2].sort()[0]
        parts = zip(*self.chunks.map(self.teacher, clean[which].split(PART)), strict=True)
        taught = tuple(map(torch.cat, parts))
        eps = self.options.eps * min(1.0, 0.25 + done)
        weight = 0.5 if eps else 1.0
        loss, grad = self.learn(images, weight, taught, which, batch)
        if eps:
            self.learn(self.attack(images, grad, eps), weight, taught, which, batch)
        self.update(done)
        return loss

    def learn(self, images: Tensor, weight: float, *rest) -> tuple[float, Tensor | None]:
        """Add the gradient of `weight` times the loss on `images` to the parameters.

        Returns the loss and its gradient with respect to the images, if an attack needs it.
        """
        parts = [p.clone().requires_grad_(self.options.eps > 0) for p in images.split(PART)]
        out = self.chunks.forward(self.student.look, parts)
        loss = self.loss(out.features, *rest)
        (weight * loss).backward()
        out.backward()
        grad = torch.cat([p.grad for p in parts]) if self.options.eps else None
        return loss.item(), grad

    def attack(self, images: Tensor, grad: Tensor, eps: float) -> Tensor:
        """Move `images` by an L2 length of `eps` up the gradient, from a random start.

        In two steps of three it works on blocks of pixels, because strokes cheat with colour, not
        with texture.
        """
        noise = torch.randn(images.shape, generator=self.rng)
        block, factor = BLOCKS[self.step % len(BLOCKS)]
        if block > 1:
            blocks = F.avg_pool2d(torch.stack([grad, noise]).flatten(0, 1), block)
            grad, noise = F.interpolate(blocks, scale_factor=block).view(2, *images.shape)
        eps = factor * eps * self.options.side / self.batches.size  # per pixel, whatever the side
        length = torch.rand(len(images), 1, 1, 1, generator=self.rng) * eps / 2
        move = length * _unit(noise) + eps * _unit(grad)
        return (images + move).clamp(0, 1)

    def update(self, done: float) -> None:
        """Step the optimiser (one cycle: linear warm-up, then cosine) and the weight average."""
        warm = 0.08
        turn = np.pi * (done - warm) / (1 - warm)
        shape = done / warm if done < warm else 0.5 + 0.5 * np.cos(turn)
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.rate * group["factor"] * max(float(shape), 0.01)
        nn.utils.clip_grad_norm_(self.student.parameters(), 2.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        with torch.no_grad():
            self.student.logit_scale.clamp_(max=np.log(100))
            decay = min(self.options.average, (1 + self.step) / (10 + self.step))
            for key, value in self.student.state_dict().items():
                if value.is_floating_point():
                    self.averaged[key].lerp_(value, 1 - decay)
        self.step += 1

    def save(self) -> None:
        """Write ``state.pt`` and the exported weights, each in one move."""
        out = self.options.out
        out.mkdir(parents=True, exist_ok=True)
        state = {
            "student": self.student.state_dict(), "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(), "step": self.step, "spent": self.spent,
        }  # fmt: skip
        torch.save(state, out / "state.tmp")
        (out / "state.tmp").replace(out / "state.pt")
        export(self.config, self.averaged, self.options.text, out / "mini-clip.safetensors")

    def run(self) -> None:
        """Train to the end of the schedule, with a line every 20 steps and regular checkpoints."""
        options, begin, saved = self.options, time.perf_counter() - self.spent, self.spent
        last, seen = self.spent, self.step
        while True:
            self.spent = time.perf_counter() - begin
            done = self.step / options.steps if options.steps else self.spent / options.minutes / 60
            if done >= 1:
                break
            loss = self.train_step(done)
            if self.step % 20 == 0:
                now = time.perf_counter() - begin
                rate = (self.step - seen) / (now - last)
                parts = " ".join(f"{p:.3f}" for p in self.parts)
                scale = self.student.logit_scale.exp().item()
                print(f"{self.step} {now:.0f} s loss {loss:.3f} ({parts}) scale {scale:.1f} "
                      f"{rate:.2f} step/s", flush=True)  # fmt: skip
                last, seen = now, self.step
            if self.spent - saved > 60 * options.every:
                saved = self.spent
                self.save()
        self.save()


def blend(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Go `share` of the way from one state dict to another; temperatures are those of `end`."""
    return {
        k: v.clone()
        if k.endswith("_scale") or not v.is_floating_point()
        else start[k].lerp(v, share)
        for k, v in end.items()
    }


def _unit(x: Tensor) -> Tensor:
    return x / x.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)


def shrink(images: Tensor, side: int) -> Tensor:
    """Scale square `images` ``[N, 3, S, S]`` down to `side` pixels."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


if __name__ == "__main__":
    import tyro

    Trainer(tyro.cli(ClipOptions)).run()
