"""Drawings that the student makes while it learns, for its teachers to see.

A tower that guides is asked about its own drawings, which are like no picture that it was shown:
after a hundred steps along its gradient all is as it wants it, and others see a scribble. So the
loop of CLIPDraw (Frans et al. 2021, arXiv:2106.14843) runs inside the training. Classes, and what
the training pictures show, are drawn with the student as it is, a step or two at a time, and a
classifier says what it sees in the drawing: the states a learner gets into, with an expert's word
for each (Ross et al. 2011, arXiv:1011.0686). What only the student saw in them does not pay for
long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from guidance.clip.prior import OTHER
from guidance.clipdraw.generator import REFERENCE, points_factor, random_scene
from guidance.objective.aims import SCALE, SHARPEN, TEXT_SHARE
from guidance.objective.prompted import spherical_distance
from guidance.train.clip.augment import guided
from guidance.train.clip.loader import ROOM, Batch
from guidance.train.clip.sections import TURNS
from guidance.train.loop.chunks import Chunks
from guidance.vector.raster import render
from guidance.vector.scene import Scene

MOVES = 2  # steps of a drawing when it is its turn
STROKES = 256
WIDTHS = (1 / REFERENCE, 50 / REFERENCE)
START_WIDTH = 8 / REFERENCE
# One view a step is less sure of its way than a dozen: these are CLIPDraw's rates, times 1.5.
RATES = {"points": 1.5 / REFERENCE, "widths": 0.15 / REFERENCE, "colors": 0.045}
LIFE = (40, 140)  # steps, after which a drawing gives way to a new one
LIMITS = {"points": (-1.0, 2.0), "widths": WIDTHS, "colors": (0.0, 1.0)}
GROUP = 12  # drawings that one thread takes further at a time
BETAS, TINY = (0.9, 0.999), 1e-8
MIN_CROP = 0.55  # of a view, as a fraction of the drawing's side
COLOUR = 0.4
PICTURES = 0.4  # of the drawings are to be like a training picture, the others like a class

Look = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subjects:
    """What there is to draw, as unit embeddings.

    Attributes:
        images: Of a typical picture of each class ``[C, D]``.
        texts: Of the classes' names ``[C, D]``.
        centre: The mean picture ``[D]``; shorter than 1.
        read: Numbers of captions ``[n]`` → their embeddings ``[n, D]``.
    """

    images: Tensor
    texts: Tensor
    centre: Tensor
    read: Callable[[Tensor], Tensor]


class Sketches:
    """Drawings of ImageNet classes and of training pictures that go on from step to step.

    Args:
        count: How many there are at a time, a multiple of `TURNS`; 0 for none.
        size: Side of the views, pixels.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self.state: dict[str, Tensor] = {}

    def turn(self, step: int) -> Tensor:
        """Return which drawings go on in training step number `step`."""
        part = self.count // TURNS
        return torch.arange(part) + step % TURNS * part

    def join(
        self, batch: Batch, look: Look, subjects: Subjects, chunks: Chunks, step: int,
        rng: Generator,
    ) -> Batch:  # fmt: skip
        """Take the drawings whose turn it is further and put views of them behind `batch`.

        Args:
            batch: Without drawings.
            look: The student's image tower, views ``[N, 3, S, S]`` in [0, 1] → unit embeddings.
            subjects: What may be drawn.
            chunks: Threads to draw with.
            step: Number of the training step.
            rng: Source of randomness.
        """
        if not self.state:
            self.start(torch.arange(self.count), batch, look, subjects, rng)
        rows = self.turn(step)
        worn = rows[self.state["age"][rows] >= self.state["life"][rows]]
        self.start(worn, batch, look, subjects, rng)
        groups = rows.split(GROUP)
        seeds = torch.randint(2**62, (len(groups), MOVES), generator=rng, device=rng.device)

        def work(pair: tuple[Tensor, list[int]]) -> tuple[Tensor, Tensor]:
            for seed in pair[1]:
                views = self.move(pair[0], seed, look, subjects)
            return views

        made = chunks.map(work, zip(groups, seeds.tolist(), strict=True))
        clean, seen = (torch.cat(views).to(batch.images) for views in zip(*made, strict=True))
        return replace(
            batch, clean=torch.cat([batch.clean, clean]), images=torch.cat([batch.images, seen]),
            sketches=len(rows),
        )  # fmt: skip

    def start(
        self, rows: Tensor, batch: Batch, look: Look, subjects: Subjects, rng: Generator
    ) -> None:
        """Begin the drawings `rows` anew, each of a class or a captioned picture drawn by lot."""
        lot = Generator().manual_seed(
            int(torch.randint(2**62, (), generator=rng, device=rng.device))
        )
        classes, width = subjects.images.shape
        for row in rows.tolist():
            scene = random_scene(STROKES, (1, 3), width=(WIDTHS[0], START_WIDTH), generator=lot)
            fresh = {
                "points": scene.points, "widths": scene.widths, "colors": scene.colors,
                "counts": scene.counts, "age": torch.tensor(0),
                "life": torch.randint(*LIFE, (), generator=lot),
                "class": torch.randint(classes, (), generator=lot),
                "image": torch.zeros(width), "text": torch.zeros(width),
            }  # fmt: skip
            if len(batch.captions) and torch.rand((), generator=lot) < PICTURES:
                pick = torch.randint(len(batch.captions), (1,), generator=lot).to(rng.device)
                with torch.no_grad():
                    fresh["image"] = look(batch.clean[pick])[0].cpu()
                    fresh["text"] = subjects.read(batch.captions[pick])[0].float().cpu()
                fresh["class"] = torch.tensor(-1)
            fresh |= {f"{m}.{k}": torch.zeros_like(fresh[k]) for m in "mv" for k in RATES}
            for key, value in fresh.items():
                if key not in self.state:
                    self.state[key] = value.new_zeros(self.count, *value.shape)
                self.state[key][row] = value

    def aims(self, rows: Tensor, subjects: Subjects) -> tuple[Tensor, Tensor]:
        """Return what the drawings `rows` are aimed at, and which classes they contrast with.

        As `guidance.objective.aims` has it: unit embeddings ``[n, D]``, and a mask ``[n, C]``.
        """
        own = self.state["class"][rows].to(subjects.images.device)
        shown = (own < 0)[:, None]
        image, text = (self.state[k][rows].to(subjects.images) for k in ("image", "text"))
        image = torch.where(shown, image, subjects.images[own])
        text = torch.where(shown, text, subjects.texts[own])
        sharp = F.normalize(subjects.centre + SHARPEN * (image - subjects.centre), dim=-1)
        return F.normalize(sharp + TEXT_SHARE * text, dim=-1), text @ subjects.texts.T < OTHER

    def move(
        self, rows: Tensor, seed: int, look: Look, subjects: Subjects
    ) -> tuple[Tensor, Tensor]:
        """Take the drawings `rows` one step further; return the views, clean and as seen.

        The loss is that of the guidance loop (`PromptObjective`), for one view of each.
        """
        leaves = {key: self.state[key][rows].requires_grad_() for key in RATES}
        targets, rivals = self.aims(rows, subjects)
        canvases = self.render(rows, **leaves).to(targets)
        lot = Generator(targets.device).manual_seed(seed)
        opaque = F.pad(canvases, (0, 0, 0, 0, 0, 1), value=1.0)
        clear = torch.zeros(len(rows), dtype=torch.bool, device=targets.device)
        clean, seen = guided(opaque, clear, self.size, lot, MIN_CROP, COLOUR)
        features = look(seen)
        others = (features @ subjects.images.T).masked_fill(~rivals, -torch.inf)
        logits = SCALE * torch.cat([(features * targets).sum(1, keepdim=True), others], 1)
        confusion = -logits.log_softmax(1)[:, 0].sum() / SCALE
        loss = spherical_distance(features, targets).sum() + confusion
        grads = torch.autograd.grad(loss, list(leaves.values()))
        self.adam(rows, dict(zip(leaves, grads, strict=True)))
        return clean.detach(), seen.detach()

    def render(self, rows: Tensor, points: Tensor, widths: Tensor, colors: Tensor) -> Tensor:
        """Return the drawings `rows` with these strokes, ``[N, 3, s, s]``."""
        side, closed = round(self.size * ROOM), torch.zeros(STROKES, dtype=torch.bool)
        strokes = zip(points, widths, colors, self.state["counts"][rows], strict=True)
        return torch.cat([render(Scene(*parts, closed), side, side) for parts in strokes])

    @torch.no_grad()
    def adam(self, rows: Tensor, grads: dict[str, Tensor]) -> None:
        """Step drawings (Kingma and Ba 2015, arXiv:1412.6980), their points ever more gently."""
        state = self.state
        state["age"][rows] += 1
        age, life = state["age"][rows], state["life"][rows]
        gentle = torch.tensor([points_factor(a - 1, n) for a, n in zip(age, life, strict=True)])
        for key, rate in RATES.items():
            m = state[f"m.{key}"][rows].lerp(grads[key], 1 - BETAS[0])
            v = state[f"v.{key}"][rows].lerp(grads[key].square(), 1 - BETAS[1])
            state[f"m.{key}"][rows], state[f"v.{key}"][rows] = m, v
            rates = rate * (1 - BETAS[1] ** age).sqrt() / (1 - BETAS[0] ** age)
            rates = rates * gentle if key == "points" else rates
            move = m / (v.sqrt() + TINY) * rates.view(-1, *[1] * (m.ndim - 1))
            low, high = LIMITS[key]
            state[key][rows] = (state[key][rows] - move).clamp(low, high)
