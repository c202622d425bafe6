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
from guidance.clipdraw.generator import REFERENCE, Drawing, random_scene
from guidance.objective.aims import aim, confusion
from guidance.objective.prompted import spherical_distance
from guidance.train.clip.augment import guided
from guidance.train.clip.loader import ROOM, Batch
from guidance.train.clip.sections import TURNS
from guidance.train.loop.chunks import Chunks
from guidance.vector.scene import Scene

MOVES = 2  # steps of a drawing when it is its turn
STROKES = 256
START_WIDTH = 8 / REFERENCE
PARTS = ("points", "widths", "colors")  # of a drawing, which move
# One view a step is less sure of its way than a dozen: these are CLIPDraw's rates, times 1.5.
RATES = (1.5 / REFERENCE, 0.15 / REFERENCE, 0.045)
MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}  # in a checkpoint → in Adam
LIFE = (40, 140)  # steps, after which a drawing gives way to a new one
GROUP = 12  # drawings that one thread takes further at a time
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


@dataclass
class Sketch:
    """One drawing in progress.

    Attributes:
        drawing: CLIPDraw's.
        life: Its steps in all.
        number: The class that it is to be like; -1 for a training picture.
        image: Embedding of that picture ``[D]``.
        text: Embedding of its caption ``[D]``.
        age: Steps made.
    """

    drawing: Drawing
    life: int
    number: int
    image: Tensor
    text: Tensor
    age: int = 0

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps."""
        drawing = self.drawing
        kept = {name: getattr(drawing, name).detach() for name in (*PARTS, "counts")}
        for short, name in MOMENTS.items():
            for part in PARTS:
                moments = drawing.optimizer.state.get(getattr(drawing, part), {})
                kept[f"{short}.{part}"] = moments.get(name, torch.zeros_like(kept[part]))
        numbers = {"age": self.age, "life": self.life, "class": self.number}
        kept |= {name: torch.tensor(value) for name, value in numbers.items()}
        return kept | {"image": self.image, "text": self.text}

    @classmethod
    def of(cls, state: dict[str, Tensor], side: int) -> Sketch:
        """Return the drawing of a `state`, on a canvas of `side` pixels."""
        age, life, number = (int(state[name]) for name in ("age", "life", "class"))
        points, widths, colors, counts = (state[name].cpu() for name in (*PARTS, "counts"))
        closed = torch.zeros(len(counts), dtype=torch.bool)
        sketch = cls(
            drawing_of(Scene(points, widths, colors, counts, closed), side),
            life, number, state["image"].cpu(), state["text"].cpu(), age,
        )  # fmt: skip
        if age:
            for part in PARTS:
                sketch.drawing.optimizer.state[getattr(sketch.drawing, part)] = {
                    "step": torch.tensor(float(age)),
                    **{name: state[f"{m}.{part}"].cpu().clone() for m, name in MOMENTS.items()},
                }
        return sketch


def drawing_of(scene: Scene, side: int) -> Drawing:
    """Return the drawing that goes on from `scene`."""
    return Drawing(scene, (side, side), lr=RATES)


class Sketches:
    """Drawings of ImageNet classes and of training pictures that go on from step to step.

    Args:
        count: How many there are at a time, a multiple of `TURNS`; 0 for none.
        size: Side of the views, pixels.

    Attributes:
        drawn: The drawings; none before the first step.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self.side = round(size * ROOM)  # of the canvas
        self.drawn: list[Sketch] = []

    @property
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: a tensor for each attribute, a row for each drawing."""
        rows = [sketch.state() for sketch in self.drawn]
        return {name: torch.stack([row[name] for row in rows]) for name in (rows or [{}])[0]}

    @state.setter
    def state(self, state: dict[str, Tensor]) -> None:
        count = len(state["age"]) if state else 0
        rows = [{name: value[i] for name, value in state.items()} for i in range(count)]
        self.drawn = [Sketch.of(row, self.side) for row in rows]

    def turn(self, step: int) -> range:
        """Return which drawings go on in training step number `step`."""
        part = self.count // TURNS
        return range(step % TURNS * part, (step % TURNS + 1) * part)

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
        if not self.drawn:
            self.drawn = self.start(self.count, batch, look, subjects, rng)
        rows = self.turn(step)
        worn = [row for row in rows if self.drawn[row].age >= self.drawn[row].life]
        for row, fresh in zip(worn, self.start(len(worn), batch, look, subjects, rng), strict=True):
            self.drawn[row] = fresh
        sketches = [self.drawn[row] for row in rows]
        groups = [sketches[i : i + GROUP] for i in range(0, len(sketches), GROUP)]
        seeds = torch.randint(2**62, (len(groups), MOVES), generator=rng, device=rng.device)

        def work(pair: tuple[list[Sketch], list[int]]) -> tuple[Tensor, Tensor]:
            *before, last = pair[1]
            for seed in before:
                self.move(pair[0], seed, look, subjects)
            return self.move(pair[0], last, look, subjects)

        made = chunks.map(work, zip(groups, seeds.tolist(), strict=True))
        clean, seen = (torch.cat(views).to(batch.images) for views in zip(*made, strict=True))
        return replace(
            batch, clean=torch.cat([batch.clean, clean]), images=torch.cat([batch.images, seen]),
            sketches=len(rows),
        )  # fmt: skip

    def start(
        self, count: int, batch: Batch, look: Look, subjects: Subjects, rng: Generator
    ) -> list[Sketch]:
        """Return new drawings, each of a class or a captioned picture drawn by lot."""
        lot = Generator().manual_seed(
            int(torch.randint(2**62, (), generator=rng, device=rng.device))
        )
        classes, width = subjects.images.shape
        begun = []
        for _ in range(count):
            thin = (1 / REFERENCE, START_WIDTH)
            scene = random_scene(STROKES, (1, 3), width=thin, generator=lot)
            life = int(torch.randint(*LIFE, (), generator=lot))
            number = int(torch.randint(classes, (), generator=lot))
            image, text = torch.zeros(width), torch.zeros(width)
            if len(batch.captions) and torch.rand((), generator=lot) < PICTURES:
                pick = torch.randint(len(batch.captions), (1,), generator=lot).to(rng.device)
                with torch.no_grad():
                    image = look(batch.clean[pick])[0].cpu()
                    text = subjects.read(batch.captions[pick])[0].float().cpu()
                number = -1
            begun.append(Sketch(drawing_of(scene, self.side), life, number, image, text))
        return begun

    def move(
        self, sketches: list[Sketch], seed: int, look: Look, subjects: Subjects
    ) -> tuple[Tensor, Tensor]:
        """Take drawings one step further; return the views, clean and as seen.

        The loss is that of the guidance loop (`PromptObjective`), for one view of each.
        """
        for sketch in sketches:
            sketch.drawing.prepare(sketch.age, sketch.life)
        targets, rivals = aims_of(sketches, subjects)
        canvases = torch.cat([sketch.drawing.image() for sketch in sketches]).to(targets)
        lot = Generator(targets.device).manual_seed(seed)
        opaque = F.pad(canvases, (0, 0, 0, 0, 0, 1), value=1.0)
        clear = torch.zeros(len(sketches), dtype=torch.bool, device=targets.device)
        clean, seen = guided(opaque, clear, self.size, lot, MIN_CROP, COLOUR)
        loss = loss_of(look(seen), targets, subjects.images, rivals)
        # these alone: what the tower has gathered of the training step's gradient stays as it is
        strokes = [getattr(sketch.drawing, part) for sketch in sketches for part in PARTS]
        for leaf, grad in zip(strokes, torch.autograd.grad(loss, strokes), strict=True):
            leaf.grad = grad
        for sketch in sketches:
            sketch.drawing.descend()
            sketch.age += 1
        return clean.detach(), seen.detach()


def aims_of(sketches: list[Sketch], subjects: Subjects) -> tuple[Tensor, Tensor]:
    """Return what drawings are aimed at, and which classes they contrast with.

    As `guidance.objective.aims` has it: unit embeddings ``[n, D]``, and a mask ``[n, C]``.
    """
    own = torch.tensor([s.number for s in sketches], device=subjects.images.device)
    shown = (own < 0)[:, None]
    image = torch.stack([s.image for s in sketches]).to(subjects.images)
    text = torch.stack([s.text for s in sketches]).to(subjects.images)
    image = torch.where(shown, image, subjects.images[own])
    text = torch.where(shown, text, subjects.texts[own])
    return aim(image, text, subjects.centre), text @ subjects.texts.T < OTHER


def loss_of(features: Tensor, targets: Tensor, images: Tensor, rivals: Tensor) -> Tensor:
    """Return the sum of the guidance losses of views, each with a target of its own.

    Args:
        features: Unit embeddings of the views ``[n, D]``.
        targets: Unit embeddings to come close to ``[n, D]``.
        images: Of a typical picture of each class ``[C, D]``.
        rivals: Which of the classes are other things ``[n, C]``.
    """
    others = (features @ images.T).masked_fill(~rivals, -torch.inf)
    own = (features * targets).sum(1)
    return spherical_distance(features, targets).sum() + confusion(own, others, "sum")
