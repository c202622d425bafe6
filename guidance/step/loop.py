"""The one optimisation loop: generator + objective → a stream of steps.

The command line, recipes, notebooks and user interfaces all consume this stream::

    for step in run(generator, objective, steps=300):
        print(step.index, step.score)
"""

from __future__ import annotations

import contextlib
import functools
from collections import abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from guidance.conventions import check_count
from guidance.errors import DivergedError
from guidance.objective.prompted import Evaluation, Objective
from guidance.step.generator import Generator, Update

PATIENCE = 3  # skipped steps in a row before a run is given up


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        index: from 0.
        steps: number of steps of the run.
        picture: `image`, or a function that makes it.
        loss: before the update; NaN in a step in which the objective was not asked.
        score: mean cosine similarity to the positive prompts in [-1, 1], NaN without prompts and
            likewise.
        terms: the loss by objective.
        skipped: the loss or gradient was not finite and nothing was changed.
        generator: what is being optimised, in its state after this step; it renders itself at any
            size (`Generator.render`) and has further files (`Generator.artefacts`).
    """

    index: int
    steps: int
    picture: Tensor | Callable[[], Tensor] = field(repr=False)
    loss: float
    score: float
    terms: dict[str, float]
    skipped: bool
    generator: Generator = field(repr=False)

    @functools.cached_property
    def image(self) -> Tensor:
        """What was scored, or would have been, ``[B, 3, H, W]`` in [0, 1], detached."""
        return self.picture if isinstance(self.picture, Tensor) else self.picture()


def run(
    generator: Generator, objective: Objective, steps: int, *, start: int = 0
) -> Iterator[Step]:
    """Yield the steps ``start … steps - 1`` of an optimisation.

    Raises:
        InputError: the numbers of steps are not valid.
        DivergedError: three steps in a row were not finite; the generator holds its last good
            state.
    """
    check_count("steps", steps, 1)
    check_count("start", start, 0, steps)
    return _run(generator, objective, steps, start)


def _run(generator: Generator, objective: Objective, steps: int, start: int) -> Iterator[Step]:
    skipped = 0
    for index in range(start, steps):
        with fast_matmul():
            generator.prepare(index, steps)
            bound = _Bound(objective, index)
            update = generator.step(bound)
        skipped = 0 if update.finite else skipped + 1
        yield bound.report(update, steps, generator)
        if skipped >= PATIENCE:
            raise DivergedError(
                f"the loss was not finite in {PATIENCE} steps in a row (the last is step {index}); "
                f"the last good state is kept; {generator.remedy}"
            )


class _Bound:
    """An objective at one step: a callable image → loss that remembers what it said."""

    def __init__(self, objective: Objective, index: int):
        self.objective = objective
        self.index = index
        self.said: list[tuple[int, Evaluation]] = []  # number of images and what was said of them

    def __call__(self, image: Tensor) -> Tensor:
        evaluation = self.objective.evaluate(image, self.index)
        # detached: no graph outlives its backward pass
        self.said.append((len(image), replace(evaluation, loss=evaluation.loss.detach())))
        return evaluation.loss

    def verdict(self, count: int) -> Evaluation:
        """Return the mean over the last `count` images, which may have come in several parts."""
        parts, left = [], count
        for number, evaluation in reversed(self.said):
            if left <= 0:
                break
            parts.append((number, evaluation))
            left -= number
        return _mean(parts[::-1])

    def report(self, update: Update, steps: int, generator: Generator) -> Step:
        asked = len(update.image) if isinstance(update.image, Tensor) else 0
        said = self.verdict(asked)
        return Step(
            index=self.index,
            steps=steps,
            picture=update.image,
            loss=float(said.loss),
            score=float("nan") if said.score is None else float(said.score),
            terms={name: float(value) for name, value in said.terms.items()},
            skipped=not update.finite,
            generator=generator,
        )


def _mean(parts: list[tuple[int, Evaluation]]) -> Evaluation:
    """Return the mean of what was said of parts of a batch, NaN of none; one is returned as is."""
    if len(parts) == 1:
        return parts[0][1]
    if not parts:
        return Evaluation(torch.tensor(float("nan")))
    total = sum(number for number, _ in parts)

    def mean(values: Iterable[Tensor]) -> Tensor:
        shares = (n / total * value for (n, _), value in zip(parts, values, strict=True))
        return functools.reduce(torch.add, shares)

    said = [evaluation for _, evaluation in parts]
    scores = [s.score for s in said if s.score is not None]
    names = dict.fromkeys(name for s in said for name in s.terms)
    zero = torch.zeros(())
    return Evaluation(
        mean(s.loss for s in said),
        {name: mean(s.terms.get(name, zero) for s in said) for name in names},
        mean(scores) if len(scores) == len(said) else None,
    )


@contextlib.contextmanager
def fast_matmul() -> abc.Generator[None]:
    """Let float32 matrix products use their fast path: oneDNN on a CPU, TF32 on CUDA.

    On a CPU the arithmetic stays float32 and is about twice as fast; one that would round the
    factors to bfloat16 instead (AMX) keeps the usual path. On CUDA they are rounded to TF32.
    """
    before = torch.get_float32_matmul_precision()
    cpu = "highest" if _rounds_to_bfloat16() else "medium"
    torch.set_float32_matmul_precision("high" if torch.cuda.is_available() else cpu)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def _rounds_to_bfloat16() -> bool:
    """Return whether this CPU rounds the factors of a product as "medium" allows: tried once."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        factor = torch.full((64, 64), 1 + 2**-12)  # 1 in bfloat16
        return bool((factor @ factor == 64).any())
    finally:
        torch.set_float32_matmul_precision(before)
