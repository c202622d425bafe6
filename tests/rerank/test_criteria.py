"""Weights of criteria, and the sum of scores in different units."""

from __future__ import annotations

import doctest

import pytest
import torch

from guidance.rerank import criteria
from guidance.rerank.criteria import parse_by
from guidance.rerank.scoring import combine

COLUMNS = {
    "prompt": torch.tensor([0.30, 0.20, 0.25, 0.21], dtype=torch.float64),
    "aesthetic": torch.tensor([4.0, 7.0, 6.5, 2.0], dtype=torch.float64),
}


def test_weights():
    assert parse_by("prompt") == {"prompt": 1}
    assert parse_by(" uniqueness : -0.5 ,prompt:2") == {"uniqueness": -0.5, "prompt": 2}


def test_one_criterion_is_its_own_score():
    for weights in ({"prompt": 1.0}, {"prompt": 3.0, "aesthetic": 0.0}):
        assert torch.equal(combine(COLUMNS, weights), COLUMNS["prompt"])
    turned = combine(COLUMNS, {"prompt": -1.0})
    assert turned.argsort().tolist() == COLUMNS["prompt"].argsort(descending=True).tolist()


def test_several_count_in_standard_deviations():
    found = combine(COLUMNS, {"prompt": 3.0, "aesthetic": -1.0})
    scores = [(c - c.mean()) / c.std(correction=0) for c in COLUMNS.values()]
    torch.testing.assert_close(found, 0.75 * scores[0] - 0.25 * scores[1])
    # units and scales of a criterion do not matter
    scaled = COLUMNS | {"aesthetic": COLUMNS["aesthetic"] * 100 - 7}
    torch.testing.assert_close(combine(scaled, {"prompt": 3.0, "aesthetic": -1.0}), found)


def test_what_is_equal_everywhere_does_not_count():
    flat = COLUMNS | {"aesthetic": torch.full((4,), 5.1, dtype=torch.float64)}
    found = combine(flat, {"prompt": 1.0, "aesthetic": 9.0})
    assert found.isfinite().all()
    assert found.argmax() == 0
    prompt = COLUMNS["prompt"]
    assert found[0] == pytest.approx(0.1 * float((0.3 - prompt.mean()) / prompt.std(correction=0)))


def test_the_example_of_the_docstring():
    result = doctest.testmod(criteria)
    assert result.attempted > 0
    assert result.failed == 0
