"""Sampled pictures in the order of their CLIP scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from guidance.command.options import GuidedOptions
from guidance.command.technique import Arrangement
from guidance.prompts.grammar import Prompt
from guidance.score.ranking import RankOptions, rank


@dataclass(frozen=True)
class Scored:
    """Pictures in an order.

    Attributes:
        order: their numbers, best first.
        scores: of each in this order, NaN where it cannot be scored; empty if none was asked for.
    """

    order: Sequence[int]
    scores: Sequence[float] = ()

    def by_number(self) -> list[float]:
        """Return the scores in the order of the numbers."""
        return [score for _, score in sorted(zip(self.order, self.scores, strict=True))]


def as_sampled(count: int) -> Scored:
    """Return pictures in the order of their numbers, without scores."""
    return Scored(range(count))


def by_score(
    options: GuidedOptions, prompts: Sequence[Prompt], images: Tensor, clip: str | None = None
) -> Scored:
    """Order images ``[B, 3, H, W]`` by the CLIP of `options`, or by another one.

    Args:
        prompts: without schedules.
    """
    ranking = rank(
        images,
        prompts,
        clip=clip or options.clip,
        device=options.device,
        options=RankOptions(precision=options.precision, on_error="skip"),
    )
    order = [r.index for r in ranking] + [s.index for s in ranking.skipped]
    scores = [round(r.score, 6) for r in ranking] + [math.nan] * len(ranking.skipped)
    return Scored(order, scores)


def with_seeds(scored: Scored, seeds: Sequence[int]) -> Arrangement:
    """Arrange pictures as they are scored, with the seed of each and its score."""
    order, scores = scored.order, scored.scores
    facts: dict[str, Sequence] = {"seed": [seeds[k] for k in order]}
    labels = [f"seed {seed}" for seed in facts["seed"]] if len(order) > 1 else []
    if scores:
        facts["score"] = scores
        labels = [f"{label}   {s:.3f}" for label, s in zip(labels, scores, strict=True)]
    return Arrangement(order, labels, facts)
