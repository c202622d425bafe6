"""Standard scores and correlations beside numpy's and scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from guidance.errors import InputError
from guidance.score.statistics import pearson, ranks, spearman, standardised


@pytest.mark.parametrize("seed", range(8))
def test_correlations_are_scipys_also_with_ties(seed):
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(seed)
    first = random.integers(0, 4 + 40 * (seed % 2), 60) * 1e-3
    second = first * random.choice([-1, 1]) + random.normal(size=60) * 0.003
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second)[0], abs=1e-12)
    assert pearson(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-12)
    np.testing.assert_array_equal(ranks(first), stats.rankdata(first))


def test_any_rising_function_keeps_the_ranks():
    x = torch.linspace(-2, 2, 30, dtype=torch.float64)
    assert spearman(x, x.exp()) == pytest.approx(1)
    assert spearman(x, -(x**3)) == pytest.approx(-1)
    assert pearson(x, x.exp()) < 0.95


def test_standard_scores():
    values = torch.tensor([0.1, 0.2, 0.6])
    found = standardised(values)
    assert float(found.mean()) == pytest.approx(0, abs=1e-12)
    assert float((found**2).mean()) == pytest.approx(1)
    torch.testing.assert_close(found, standardised(values.double() * 1e6 - 3), atol=1e-5, rtol=0)
    for equal in ([0.1] * 7, [0.0] * 3, [1e-300, 1e-300]):
        assert not standardised(equal).any()
        assert math.isnan(pearson(equal, list(range(len(equal)))))


def test_lists_of_two_lengths():
    with pytest.raises(InputError, match="have 2 and 3 values"):
        spearman([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match=r"shape \[N\] but have \[0\]"):
        standardised([])
