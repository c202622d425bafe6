"""Scores of the ranking CLIP and of a second one → whether the second sees the same.

What is chosen for its score alone may have found the weak spots of that scorer rather than the
prompt (Goodhart's law). A CLIP that had no part in the choice shows it: what is good stays good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.score.statistics import spearman, standardised

FEWEST = 8  # images; of fewer, agreement and disagreement look alike
# The judge should grant the best at least this share of the lead the first scorer gives them. For
# two scorers that agree, it is about their correlation: 0.5 to 0.9 between real CLIPs.
KEPT = 0.2


@dataclass(frozen=True)
class Verdict:
    """How far two scorers agree.

    Attributes:
        count: how many of the best were looked at.
        spearman: correlation of the ranks over all images, NaN where one has no spread.
        lead: standard deviations by which the best are above the mean of all, by the score that
            chose them.
        judged_lead: the same by the judge, of the same images.
    """

    count: int
    spearman: float
    lead: float
    judged_lead: float

    @property
    def doubtful(self) -> bool:
        """Whether the judge does not see why the best should be the best."""
        return not self.judged_lead >= KEPT * self.lead

    def __str__(self) -> str:
        return (
            f"Spearman correlation {self.spearman:.2f}; the best {self.count} lead the mean by "
            f"{self.lead:.2f} standard deviations, by the judge {self.judged_lead:.2f}"
        )


def verdict(scores: Tensor, judged: Tensor, top: int) -> Verdict | None:
    """Compare ``[N]`` scores of the same images; None if there are too few to tell.

    Args:
        scores: by which the images are ranked.
        judged: by the judge; NaN for what it could not read.
        top: how many of the best to look at, at most a quarter of all; 0 means a quarter.
    """
    known = judged.isfinite()
    if int(known.sum()) < FEWEST:
        return None
    scores, judged = scores[known].double(), judged[known].double()
    count = min(top or len(scores), len(scores) // 4)
    best = scores.argsort(descending=True, stable=True)[:count]
    lead, judged_lead = (float(standardised(s)[best].mean()) for s in (scores, judged))
    return Verdict(count, spearman(scores, judged), lead, judged_lead)


def judge_column(indices: list[int], found: dict[int, float]) -> Tensor:
    """Return the judge's scores ``[N]`` float64 in the order of `indices`, NaN where missing."""
    return torch.tensor([found.get(i, math.nan) for i in indices], dtype=torch.float64)
