"""Sampling: pictures that a model writes code by code, a few rows a step, batch after batch.

prompts ─▶ writer ─▶ logits ─▶ classifier-free guidance ─▶ chances ─▶ code ─▶ back into the writer
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.conventions import check_count, derive_seed, make_generator
from guidance.dalle.chances import Chances, draw
from guidance.dalle.known import OPEN
from guidance.dalle.told import Told
from guidance.errors import DivergedError, InputError, counted
from guidance.images.canvas import scale, tile
from guidance.models.dalle.load import Dalle
from guidance.models.writer import Writing, write_given
from guidance.step.generator import Generator, Update
from guidance.step.loop import fast_matmul

GREY = 0.5  # what is not written yet
AT_ONCE = 8  # pictures that are painted at once; more need more memory and are no faster


@dataclass(frozen=True)
class Plan:
    """What is sampled.

    Attributes:
        seeds: one a picture.
        batch: pictures at once.
        steps: that a batch is written in.
        chances: how codes are drawn.
    """

    seeds: tuple[int, ...]
    batch: int
    steps: int
    chances: Chances = field(default_factory=Chances)

    @property
    def batches(self) -> list[range]:
        """The numbers of the pictures of each batch."""
        whole = range(len(self.seeds))
        return [whole[k : k + self.batch] for k in range(0, len(whole), self.batch)]


@dataclass
class _Open:
    """The batch that is being written: which, up to what position, and what comes next."""

    batch: int
    place: int
    writing: Writing
    logits: Tensor


class Sampling(Generator):
    """Pictures that are being written.

    Picture k depends on ``seeds[k]`` and not on the others, but for rounding.

    Args:
        dalle: the model; not part of this module's state.
        plan: what is sampled.
        told: prompts.
        known: codes that are given ``[P]``, `OPEN` where one is to be written; None for none.

    Attributes:
        codes: int64 ``[N, P]`` in raster order, `OPEN` where nothing is written yet.

    Raises:
        InputError: more steps than codes to write.
    """

    codes: Tensor
    done: Tensor
    remedy = "take --precision fp32, or lower --cfg"

    def __init__(self, dalle: Dalle, plan: Plan, told: Told, known: Tensor | None = None):
        super().__init__()
        self._dalle = (dalle,)  # in a tuple: its weights do not belong into checkpoints
        self.plan, self.told = plan, told
        rows, columns = dalle.writer.grid
        count = rows * columns
        self.known = torch.full((count,), OPEN) if known is None else known
        first = int((self.known == OPEN).int().argmax())  # those before are given
        check_count("steps", plan.steps, 1)
        if plan.steps > count - first:
            raise InputError(
                f"steps must be at most {count - first}, the codes that are to be written, but "
                f"are {plan.steps}"
            )
        self._marks = [first + k * (count - first) // plan.steps for k in range(plan.steps + 1)]
        self._index = 0
        self._open: _Open | None = None
        self._pictures: dict[int, Tensor] = {}  # of finished batches
        self.register_buffer("codes", self.known.expand(len(plan.seeds), -1).clone())
        self.register_buffer("done", torch.tensor(0))

    @property
    def dalle(self) -> Dalle:
        """The model."""
        return self._dalle[0]

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.plan.steps * len(self.plan.batches)

    @property
    def final_size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        rows, columns = self.dalle.writer.grid
        return rows * self.dalle.codec.factor, columns * self.dalle.codec.factor

    def prepare(self, index: int, steps: int) -> None:
        """Get ready for step `index`."""
        if steps != self.total:
            raise InputError(f"this run has {counted(self.total, 'step')} but is asked for {steps}")
        self._index = index

    @torch.no_grad()
    def step(self, objective: Callable[[Tensor], Tensor]) -> Update:
        """Write the next part of a batch; the objective is asked about pictures that are whole.

        Raises:
            DivergedError: what the model says is not finite; nothing has changed.
        """
        batch, part = divmod(self._index, self.plan.steps)
        numbers, first, end = self.plan.batches[batch], *self._marks[part : part + 2]
        written = self._write(batch, numbers, first, end)
        self.codes[numbers.start : numbers.stop, first:end] = written
        self.done.fill_(self._index + 1)
        if part + 1 < self.plan.steps:  # as it is now, whenever somebody looks
            return Update(functools.partial(self._shown, self.codes.clone()))
        self._open = None
        objective(self._finished(batch))
        return Update(self.image())

    def _write(self, batch: int, numbers: range, first: int, end: int) -> Tensor:
        """Return the codes of the pictures of a batch from `first` up to `end`."""
        state = self._at(batch, numbers, first)
        uniform = torch.stack([self._uniform(self.plan.seeds[k]) for k in numbers])
        codes = []
        for place in range(first, end):
            if self.known[place] != OPEN:
                chosen = self.known[place].expand(len(numbers))
            else:
                logits = self.told.mix(state.logits)
                if not bool(logits.isfinite().all()):
                    self._open = None
                    raise DivergedError(
                        f"what the model says of code {place} is not finite; the last good state "
                        f"is kept; {self.remedy}"
                    )
                chances = self.plan.chances.of(logits).cpu()
                chosen = draw(chances, uniform[:, place])
            codes.append(chosen)
            if place + 1 < len(self.known):
                state.logits = state.writing.next(chosen.repeat(len(self.told.texts)))
        state.place = end
        return torch.stack(codes, 1)

    def _at(self, batch: int, numbers: range, first: int) -> _Open:
        """Return the batch as it was left, or as its codes up to `first` say."""
        state = self._open
        if state is None or (state.batch, state.place) != (batch, first):
            texts = [text for text in self.told.texts for _ in numbers]
            writing = self.dalle.writer.begin(texts)
            given = self.codes[numbers.start : numbers.stop, :first]
            logits = write_given(writing, given.repeat(len(self.told.texts), 1))
            state = self._open = _Open(batch, first, writing, logits)
        return state

    def _uniform(self, seed: int) -> Tensor:
        """Return the random numbers of a picture, one a code; they follow from its seed alone."""
        generator = make_generator(derive_seed(seed, "codes"))
        return torch.rand(len(self.known), dtype=torch.float64, generator=generator)

    def _finished(self, batch: int) -> Tensor:
        """Return the pictures of a batch that is whole."""
        if batch not in self._pictures:
            numbers = self.plan.batches[batch]
            self._pictures[batch] = self._paint(self.codes[numbers.start : numbers.stop])
        return self._pictures[batch]

    @torch.no_grad()
    def image(self) -> Tensor:
        """Return the pictures ``[N, 3, H, W]`` in [0, 1], grey where nothing is written yet."""
        return self._shown(self.codes)

    @torch.no_grad()
    def _shown(self, whole: Tensor) -> Tensor:
        """Return the pictures of the codes of all, of now or of an earlier step."""
        parts = []
        for batch, numbers in enumerate(self.plan.batches):
            codes = whole[numbers.start : numbers.stop]
            if not (codes == OPEN).any():
                parts.append(self._finished(batch))
            elif torch.equal(codes, self.known.expand_as(codes)):  # it has not begun
                parts.append(self._paint(codes[:1]).expand(len(numbers), -1, -1, -1))
            else:
                parts.append(self._paint(codes))
        return torch.cat(parts)

    def _paint(self, codes: Tensor) -> Tensor:
        """Return the pictures of codes ``[n, P]``, grey where there are none."""
        rows, columns = self.dalle.writer.grid
        open_ = (codes == OPEN).view(-1, 1, rows, columns)
        if open_.all():
            return torch.full((len(codes), 3, *self.final_size), GREY)
        begun = int((~open_).any(3).any(0).nonzero().max()) + 1  # rows; what is below costs time
        grid = codes.clamp(min=0).view(-1, rows, columns)[:, :begun]
        with fast_matmul():
            whole = torch.cat([self.dalle.codec.decode(part).cpu() for part in grid.split(AT_ONCE)])
        if open_.any():
            factor = self.dalle.codec.factor
            whole = F.pad(whole, (0, 0, 0, factor * (rows - begun)))
            cells = open_.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
            whole = whole.masked_fill(cells, GREY)
        return whole

    def render(self, height: int, width: int) -> Tensor:
        """Return the pictures at any size."""
        return scale(self.image(), height, width)

    def frame(self, height: int, width: int) -> Tensor:
        """Return all pictures on one sheet, ``[1, 3, height, width]``."""
        return tile(self.image(), height, width)

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Go on from a state: what was written is read again by the model.

        Raises:
            InputError: a code that the model has not, or is not known at its place.
        """
        codes = state_dict["codes"]
        kept = self.known.expand_as(codes)
        if not (bool((codes >= OPEN).all()) and int(codes.max()) < self.dalle.writer.codes):
            raise InputError(f"codes must be from {OPEN} to {self.dalle.writer.codes - 1}")
        if not torch.equal(codes[kept != OPEN], kept[kept != OPEN]):
            raise InputError("the codes that were given have changed")
        self._open, self._pictures = None, {}
        return super().load_state_dict(state_dict, strict, assign)
