"""Logistic regression beside scikit-learn's, and the search for its strength."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from guidance.errors import InputError
from guidance.probe.logistic import (
    Problem,
    accuracy,
    choose,
    fit,
    search,
    strength_at,
)


def clusters(n: int, width: int, classes: int, seed: int = 0, spread: float = 1.0):
    """Return overlapping clusters with columns of very different size and offset."""
    random = torch.Generator().manual_seed(seed)
    centres = 0.4 * torch.randn(classes, width, generator=random)
    labels = torch.arange(n) % classes
    x = centres[labels] + spread * torch.randn(n, width, generator=random)
    return (x * torch.logspace(-0.5, 0.5, width) + 3).double(), labels


def loss(weight, bias, x, labels, strength) -> float:
    logits = x @ weight.T + bias
    fit = F.cross_entropy(logits, labels, reduction="sum")
    return float(fit + strength / 2 * weight.square().sum())


@pytest.mark.parametrize(("n", "width"), [(120, 8), (24, 50)], ids=["long", "wide"])
@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
def test_it_is_the_logistic_regression_of_scikit_learn(n, width, strength):
    from sklearn.linear_model import LogisticRegression

    x, labels = clusters(n, width, 4)
    ours = Problem(x, labels, 4).fit(strength, tolerance=1e-12)
    peer = LogisticRegression(C=1 / strength, solver="newton-cg", tol=1e-10, max_iter=500)
    peer.fit((x - x.mean(0)).numpy(), labels.numpy())
    weight = torch.from_numpy(peer.coef_)
    bias = torch.from_numpy(peer.intercept_) - weight @ x.mean(0)
    assert (ours.weight - weight).norm() < 2e-3 * weight.norm()
    torch.testing.assert_close(ours.bias, bias - bias.mean(), atol=5e-3, rtol=2e-3)
    best = loss(ours.weight, ours.bias, x, labels, strength)
    assert best <= loss(weight, bias, x, labels, strength) * (1 + 1e-9)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("strength", [1e-6, 1e-2, 1e6])
def test_the_gradient_vanishes_in_the_original_coordinates(classes, strength):
    x, labels = clusters(40, 60, classes, spread=0.5)
    found = fit(x, labels, classes, strength)
    weight, bias = found.weight.requires_grad_(), found.bias.requires_grad_()
    value = F.cross_entropy(x @ weight.T + bias, labels, reduction="sum")
    value = value + strength / 2 * weight.square().sum()
    at_weight, at_bias = torch.autograd.grad(value, (weight, bias))
    start = F.cross_entropy(torch.zeros(40, classes), labels, reduction="sum")
    # along the gradient, whose curvature is at least that of the penalty, little can be gained
    assert at_weight.square().sum() / (2 * max(strength, 1e-2)) < 1e-4 * start
    assert at_bias.abs().max() < 1e-3


def test_shifting_all_features_changes_only_the_bias():
    x, labels = clusters(60, 5, 3)
    one, other = fit(x, labels, 3, 0.1), fit(x + 1e3, labels, 3, 0.1)
    torch.testing.assert_close(one.weight, other.weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one(x), other(x + 1e3), atol=1e-3, rtol=1e-4)


def test_equal_features_give_the_frequencies():
    found = fit(torch.ones(6, 4), torch.tensor([0, 0, 0, 1, 1, 2]), 3, 1.0)
    probabilities = found(torch.ones(1, 4)).softmax(-1)[0]
    torch.testing.assert_close(
        probabilities, torch.tensor([3, 2, 1]).double() / 6, atol=1e-4, rtol=0
    )
    assert found.weight.abs().max() == 0


def test_the_search_finds_every_peak_of_the_grid_with_few_trials():
    for peak in range(97):
        tried = []

        def score(strength, peak=peak, tried=tried):
            tried.append(strength)
            return (-abs(torch.tensor(strength).log10() - (-6 + peak / 8)).item(),)

        assert search(score) == pytest.approx(strength_at(peak))
        assert len(tried) <= 15
        assert len(set(tried)) == len(tried)
    assert strength_at(0) == pytest.approx(1e-6)
    assert strength_at(96) == pytest.approx(1e6)
    assert search(lambda s: (0,)) == pytest.approx(1e6)  # all equal: the plainest model


def test_noise_wants_more_regularisation_than_signal():
    clear, labels = clusters(40, 10, 3, spread=0.2)
    noisy, _ = clusters(40, 10, 3, spread=6.0)
    chosen = [choose(Problem(x[:28], labels[:28], 3), x[28:], labels[28:]) for x in (clear, noisy)]
    assert chosen[0] < chosen[1]


def test_accuracy_counts_rows():
    logits = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0], [5.0, 0.0]])
    assert accuracy(logits, torch.tensor([1, 0, 0, 0])) == 0.75


@pytest.mark.parametrize(
    ("features", "labels", "strength"),
    [
        (torch.zeros(3), torch.zeros(3).long(), 1.0),
        (torch.zeros(3, 2), torch.zeros(2).long(), 1.0),
        (torch.full((3, 2), float("nan")), torch.zeros(3).long(), 1.0),
        (torch.zeros(3, 2), torch.tensor([0, 1, 2]), 1.0),
        (torch.zeros(3, 2), torch.tensor([0, 1, 1]), 0.0),
        (torch.zeros(3, 2), torch.tensor([0, 1, 1]), float("nan")),
    ],
)
def test_what_cannot_be_fitted_is_refused(features, labels, strength):
    with pytest.raises(InputError):
        fit(features, labels, 2, strength)
