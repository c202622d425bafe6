"""Options → the tries of a technique: what they begin with, and who judges them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guidance.command.tries_options import TriesOptions
from guidance.conventions import resolve_device

if TYPE_CHECKING:
    from guidance.command.technique import Technique
    from guidance.objective.prompted import Objective
    from guidance.score.judge import Judge
    from guidance.step.generator import Generator
    from guidance.step.tries import Tries


def make_tries(
    technique: Technique,
    options: TriesOptions,
    scores: Sequence[float] = (),
    told: Callable[[int, float, Generator], None] | None = None,
) -> Tries:
    """Load what the tries of checked options need: CLIP once to guide them all, once to judge.

    Args:
        scores: of the first tries, if they were made before; with all of them no judge is loaded.
        told: as `Tries` has it.
    """
    from guidance.step.tries import Plan, Tries

    starts, device = options.starts(), resolve_device(options.device)
    objective = technique.objective(starts[0], device)

    def start(number: int) -> tuple[Generator, Objective]:
        begun = starts[number]
        return technique.build(begun, device), objective.seeded(begun.seed)

    return Tries(
        start,
        _judge(options) if len(scores) < len(starts) else lambda images: math.nan,
        Plan(len(starts), options.rough(), options.total()),
        scores=scores,
        told=told,
    )


def _judge(options: TriesOptions) -> Judge:
    from guidance.score.judge import Judge

    return Judge(
        options.judged_by(),
        options.judge or options.clip,
        device=options.device,
        precision=options.precision,
    )
