"""When a second CLIP agrees, when it does not, and when that cannot be told."""

from __future__ import annotations

import math

import pytest
import torch

from guidance.rerank.judge import judge_column, verdict


def normal(seed: int, count: int = 400) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(10))
def test_a_judge_of_the_same_mind(seed):
    merit = normal(seed)
    scores, judged = merit + normal(seed + 100), 0.1 * (merit + normal(seed + 200)) + 0.2
    found = verdict(scores, judged, 8)
    assert not found.doubtful
    assert found.count == 8
    assert found.spearman == pytest.approx(0.5, abs=0.15)
    assert found.judged_lead / found.lead == pytest.approx(0.5, abs=0.3)


@pytest.mark.parametrize("seed", range(10))
def test_the_best_have_gamed_the_first_scorer(seed):
    merit = normal(seed)
    scores, judged = merit + 0.5 * normal(seed + 100), merit + 0.5 * normal(seed + 200)
    scores[:8] += 6  # eight pictures that fit its weaknesses: any merit, the highest scores
    judged[:8] = -0.2
    found = verdict(scores, judged, 8)
    assert found.spearman > 0.5  # over all they still agree
    assert found.lead > 2
    assert found.doubtful
    assert "the best 8 lead the mean by" in str(found)


def test_lead_is_counted_over_all_that_the_judge_could_read():
    scores = torch.arange(12, dtype=torch.float64)
    judged = scores.clone()
    judged[11] = math.nan
    found = verdict(scores, judged, 1)
    known = torch.arange(11, dtype=torch.float64)
    assert found.judged_lead == pytest.approx(float((10 - known.mean()) / known.std(correction=0)))
    assert found.spearman == pytest.approx(1)
    assert verdict(scores, judged, 0).count == 2  # a quarter of those


def test_too_few_or_no_spread():
    assert verdict(torch.rand(7), torch.rand(7), 3) is None
    flat = verdict(torch.arange(9.0), torch.ones(9), 3)
    assert math.isnan(flat.spearman)
    assert flat.doubtful


def test_what_the_judge_cannot_read_has_no_score():
    column = judge_column([0, 2, 5], {0: 0.5, 5: 0.25})
    assert column[[0, 2]].tolist() == [0.5, 0.25]
    assert column[1].isnan()
