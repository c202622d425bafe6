"""Arrays + embeddings → the image tower → one weights file.

The image tower starts from ImageNet weights and learns against the sentence embeddings of
`guidance.train.text` through a linear map W that is folded into the text tower on export.

Loss per batch: contrast of images and captions in both directions, with more texts and the latest
images as negatives, plus the KL divergence to an ImageNet classifier on the same crop, over the
1000 class names as texts. With ``--eps`` each step adds a second pass on pictures moved against
the loss by one gradient step (Goodfellow et al. 2015, arXiv:1412.6572, in L2 with a random start);
robust networks have gradients that people can read (Engstrom et al. 2019, arXiv:1906.00945).

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

from guidance.train import losses, tower
from guidance.train import model as mini
from guidance.train.batches import Batch, Batches
from guidance.train.parallel import Chunks


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
    resume: bool = False
    """Continue the run in ``--out``."""
    photos: int = 64
    """Photos per batch."""
    drawings: int = 52
    """Drawings per batch."""
    painted: int = 20
    """Painted pictures per batch."""
    clutter: int = 8
    """Pictures of nothing per batch."""
    rate: float = 3e-4
    """Peak learning rate of the tower; the head learns three times as fast."""
    eps: float = 0.0
    """Largest L2 length of the adversarial step, in [0, 1] pixel units; 0 is plain training."""
    frozen: int = 0
    """Keep the stem and this many of the trunk's seven stages as they are: a cheaper step."""
    knowledge: float = 1.0
    """Weight of the KL divergence to the classifier."""
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


class Student(nn.Module):
    """What is trained: image tower, linear map W of the sentences, and two temperatures."""

    def __init__(self, visual: nn.Module, dim: int) -> None:
        super().__init__()
        self.visual = visual
        self.map = nn.Linear(dim, dim, bias=False)
        nn.init.eye_(self.map.weight)
        self.logit_scale = nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))
        self.class_scale = nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))

    def sentences(self, embeddings: Tensor) -> Tensor:
        """Map sentence embeddings ``[N, D]`` to unit text embeddings."""
        return F.normalize(self.map(embeddings.float()), dim=-1)


class Trainer:
    """One run: data, student, teacher, optimiser, weight average and clock."""

    def __init__(self, options: ClipOptions) -> None:
        self.options = options
        self.config = mini.read_config()
        self.chunks = Chunks(options.threads)
        self.embeddings = torch.from_numpy(np.load(options.arrays / "embeddings.npy"))
        self.classes = torch.from_numpy(np.load(options.arrays / "classes.npy")).float()
        counts = {n: getattr(options, n) for n in ("photos", "drawings", "painted", "clutter")}
        size = self.config["model_cfg"]["vision_cfg"]["image_size"]
        self.batches = Batches(options.arrays, counts, size, options.seed)
        self.rng = torch.Generator().manual_seed(options.seed)
        self.queue = losses.Queue(options.bank, self.classes.shape[1])
        pre = self.config["preprocess_cfg"]
        self.mean = torch.tensor(pre["mean"]).view(3, 1, 1)
        self.std = torch.tensor(pre["std"]).view(3, 1, 1)
        self._build()
        self.step, self.spent = 0, 0.0
        if options.resume:
            self._restore(options.out / "state.pt", whole=True)
        elif options.init:
            self._restore(options.init, whole=False)

    def _build(self) -> None:
        teacher = mini.image_classifier(self.options.classifier)
        visual = mini.build(self.config).visual
        visual.trunk.load_state_dict(
            {k: v for k, v in teacher.state_dict().items() if not k.startswith("classifier")}
        )
        last = teacher.classifier
        tower.start_head(visual.head.proj, last.weight, last.bias, self.classes)
        layout = torch.channels_last
        self.teacher = teacher.to(memory_format=layout).requires_grad_(False)
        self.student = Student(visual, self.classes.shape[1]).to(memory_format=layout).eval()
        tower.fast_depthwise(self.student.visual)
        if self.options.frozen:
            early = [visual.trunk.conv_stem, visual.trunk.bn1]
            for module in (*early, *visual.trunk.blocks[: self.options.frozen]):
                module.requires_grad_(False)
        student = self.student
        groups = [
            {"params": list(visual.trunk.parameters()), "factor": 1.0},
            {"params": list(visual.head.parameters()), "factor": 3.0},
            {"params": [student.logit_scale, student.class_scale], "factor": 10.0},
            {"params": list(student.map.parameters()), "factor": 0.3},  # stays near the identity
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-4, weight_decay=0.02, fused=True)
        self.averaged = {k: v.clone() for k, v in self.student.state_dict().items()}

    def _restore(self, path: Path, whole: bool) -> None:
        state = torch.load(path, weights_only=True)
        self.averaged = state["averaged"]
        self.student.load_state_dict(state["student"] if whole else state["averaged"])
        if whole:
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.spent = state["step"], state["spent"]
            self.batches.rng = np.random.default_rng([self.options.seed, self.step])

    def look(self, images: Tensor) -> Tensor:
        """Image embeddings ``[N, D]`` of `images` ``[N, 3, H, W]`` in [0, 1], not normalised."""
        x = (images - self.mean) / self.std
        return self.student.visual(x.contiguous(memory_format=torch.channels_last))

    def teach(self, images: Tensor) -> Tensor:
        """The teacher's class logits ``[N, C]``."""
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return self.teacher(x).float()

    def loss(self, features: Tensor, taught: Tensor, which: Tensor, batch: Batch) -> Tensor:
        """Loss of raw image `features`; `taught` are teacher logits for the rows in `which`."""
        images = F.normalize(features, dim=-1)
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
        kept = losses.knowledge(images[which] @ classes.T, taught)
        if self.step > 100:
            self.queue.push(images, torch.cat([own, clutter]))
        self.parts = (to_text.item(), to_image.item(), kept.item())
        return (to_text + to_image) / 2 + self.options.knowledge * kept

    def train_step(self, done: float) -> float:
        """One optimiser step at fraction `done` of the run; returns the loss."""
        batch = self.batches.plan()
        images = torch.cat(self.chunks.map(self.batches.render, batch.plans))
        size = -(-len(images) // 8)
        which = torch.randperm(len(images), generator=self.rng)[: len(images) // 2].sort()[0]
        taught = torch.cat(self.chunks.map(self.teach, images[which].split(size)))
        eps = self.options.eps * min(1.0, 0.25 + done)
        parts = [p.clone().requires_grad_(eps > 0) for p in images.split(size)]
        out = self.chunks.forward(self.look, parts)
        loss = self.loss(out.features, taught, which, batch)
        weight = 0.5 if eps else 1.0
        (weight * loss).backward()
        out.backward()
        if eps:
            grad = torch.cat([p.grad for p in parts])
            moved = self.attack(images, grad, eps)
            out = self.chunks.forward(self.look, moved.split(size))
            hard = self.loss(out.features, taught, which, batch)
            (weight * hard).backward()
            out.backward()
        self.update(done)
        return loss.item()

    def attack(self, images: Tensor, grad: Tensor, eps: float) -> Tensor:
        """Move `images` by an L2 length of `eps` up the gradient, from a random start.

        Every other step works on 4x4 blocks, because strokes cheat with colour, not with texture.
        """
        noise = torch.randn(images.shape, generator=self.rng)
        if self.step % 2:
            blocks = F.avg_pool2d(torch.stack([grad, noise]).flatten(0, 1), 4)
            grad, noise = F.interpolate(blocks, scale_factor=4).view(2, *images.shape)
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


def _unit(x: Tensor) -> Tensor:
    return x / x.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)


def export(config: dict, student: dict[str, Tensor], text: Path, path: Path) -> None:
    """Join the image tower and the text tower, fold W into the text projection, write float16."""
    model = mini.build(config)
    prefix = "visual."
    visual = {k[len(prefix) :]: v for k, v in student.items() if k.startswith(prefix)}
    model.visual.load_state_dict(visual)
    model.text.load_state_dict(mini.load_file(text))
    with torch.no_grad():
        model.text.text_projection.copy_(model.text.text_projection @ student["map.weight"].T)
        model.logit_scale.copy_(student["logit_scale"])
    mini.save(model, path)


if __name__ == "__main__":
    import tyro

    Trainer(tyro.cli(ClipOptions)).run()
