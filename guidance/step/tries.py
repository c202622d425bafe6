"""Several rough starts → the one that a judge likes best → its steps, to the end.

Every picture of DALL·E is the best of many, by a CLIP that had no part in making them (Ramesh et
al. 2021, arXiv:2102.12092, section 2.6). Where a picture takes many steps the others are given up
after a few, and only the best is finished.
"""

from __future__ import annotations

import copy
import itertools
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from guidance.conventions import check_count
from guidance.errors import InputError
from guidance.objective.prompted import Objective
from guidance.step.generator import Generator
from guidance.step.loop import Step, run

Start = Callable[[int], tuple[Generator, Objective]]


def best(scores: Sequence[float]) -> int:
    """Return the place of the highest score, the first of equals."""
    return max(range(len(scores)), key=scores.__getitem__)


@dataclass(frozen=True)
class Plan:
    """How many starts, and how far they go.

    Attributes:
        count: number of tries.
        rough: steps of each before it is judged.
        steps: of the whole run.

    Raises:
        InputError: the numbers do not fit each other.
    """

    count: int
    rough: int
    steps: int

    def __post_init__(self) -> None:
        check_count("tries", self.count, 1)
        check_count("try_steps", self.rough, 1, self.steps)


class Tries:
    """Rough pictures, of which the best goes on; each is what a run of its own would begin with.

    What is kept of a finished run, of which `go` was the first part, is what the run of that start
    alone would give: `again` goes through its first steps once more, and nothing is computed twice.
    The first start is made at once, so that what cannot be made is told before any work.

    Args:
        start: number of a try, from 0 → a new generator and its objective.
        judge: pictures ``[B, 3, H, W]`` in [0, 1] → score, higher is better.
        plan: the numbers.
        scores: of the first tries, if they were made before and need not be made again.
        told: called with the number, the score and the generator of each try that is judged.

    Attributes:
        scores: of all tries so far.
        number: of the try that is being made.
    """

    def __init__(
        self,
        start: Start,
        judge: Callable[[Tensor], float],
        plan: Plan,
        *,
        scores: Sequence[float] = (),
        told: Callable[[int, float, Generator], None] | None = None,
    ):
        if len(scores) > plan.count:
            raise InputError(f"scores must be of at most {plan.count} tries but are {len(scores)}")
        self.plan = plan
        self.scores = list(scores)
        self._start, self._judge, self._told = start, judge, told
        self.number = len(scores) if len(scores) < plan.count else self.kept
        self._next = start(self.number)
        self._best: _Rough | None = None

    @property
    def kept(self) -> int:
        """The number of the best try so far, the first of equals."""
        return best(self.scores)

    @property
    def left(self) -> int:
        """Steps that are left to `go` at least, before it begins."""
        return self.plan.rough * max(1, self.plan.count - len(self.scores))

    @property
    def generator(self) -> Generator:
        """What is being made, and after `go` what is kept."""
        return self._next[0]

    @property
    def objective(self) -> Objective:
        """What it follows."""
        return self._next[1]

    def go(self) -> Iterator[Step]:
        """Make and judge the tries that are left; yield each of their steps, from 0 for each.

        If the best is one of those made before, it is made once more at the end.

        Raises:
            DivergedError: see `guidance.step.loop.run`.
        """
        for number in range(len(self.scores), self.plan.count):
            rough = yield from self._make(number)
            score = self._judge(rough.picture())
            self.scores.append(score)
            if self.kept == number:
                self._best = rough
            if self._told is not None:
                self._told(number, score, rough.generator)
        if self._best is None or self._best.number != self.kept:
            self._best = yield from self._make(self.kept)
        self.number, self._next = self.kept, (self._best.generator, self._best.objective)

    def again(self) -> Iterator[Step]:
        """Yield the steps of what is kept, its generator in its state after each of them; once."""
        kept, self._best = self._best, None
        if kept is None:
            raise InputError("nothing is kept: the tries must be made first")
        return kept.again()

    def whole(self) -> Iterator[Step]:
        """Make the tries, then yield all steps of what is kept, as a run of it alone would."""
        for _ in self.go():
            pass
        yield from self.again()
        yield from run(self.generator, self.objective, self.plan.steps, start=self.plan.rough)

    def _make(self, number: int) -> abc.Generator[Step, None, _Rough]:
        """Yield the rough steps of a try; return what was seen of them."""
        if number != self.number:
            self.number, self._next = number, self._start(number)
        rough = _Rough(number, *self._next)
        for step in itertools.islice(run(*self._next, self.plan.steps), self.plan.rough):
            rough.add(step)
            yield step
        return rough


@dataclass
class _Rough:
    """The first steps of a picture, with the state after each of them.

    That of the optimiser is a part of it: a run may be saved after any step that is gone through.
    """

    number: int
    generator: Generator
    objective: Objective
    steps: list[Step] = field(default_factory=list)
    states: list[_State] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Remember a step that was just made."""
        self.steps.append(step)
        self.states.append(_State.of(self.generator))

    def picture(self) -> Tensor:
        """Return what there is to judge, ``[B, 3, H, W]``, of the size that is scored."""
        height, width = self.steps[-1].image.shape[-2:]
        return self.generator.render(height, width)

    def again(self) -> Iterator[Step]:
        """Go through the steps once more, and forget them; in the end all is as it was."""
        while self.steps:
            step, state = self.steps.pop(0), self.states.pop(0)
            self.generator.prepare(step.index, step.steps)
            state.put_into(self.generator)
            yield step


@dataclass(frozen=True)
class _State:
    """What a generator and its optimiser, if it has one, are after a step."""

    model: dict[str, Tensor]
    optimizer: dict[str, Any] | None

    @classmethod
    def of(cls, generator: Generator) -> _State:
        """Copy the state of `generator`."""
        optimizer = getattr(generator, "optimizer", None)
        return cls(
            {name: value.detach().clone() for name, value in generator.state_dict().items()},
            None if optimizer is None else copy.deepcopy(optimizer.state_dict()),
        )

    def put_into(self, generator: Generator) -> None:
        """Let `generator` be as it was; it shares nothing with what is remembered."""
        generator.load_state_dict(self.model)
        if self.optimizer is not None:
            generator.optimizer.load_state_dict(copy.deepcopy(self.optimizer))
