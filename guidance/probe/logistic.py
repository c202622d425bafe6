"""Features ``[N, F]`` and class numbers ``[N]`` → a linear classifier: L2 logistic regression.

What is minimised, by L-BFGS in float64, is

    Σ cross-entropy(W x + b) + λ/2 · ‖W‖²        (λ is 1/C of scikit-learn; b is free)

The CLIP paper fits its linear probes so and chooses λ on a validation split by a parametric binary
search (Radford et al. 2021, appendix A.3), which is `search`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.conventions import check_range, check_shape
from guidance.errors import InputError

LOW, PER_DECADE, DECADES = 1e-6, 8, 12  # the grid: 1e-6 to 1e6 in 96 steps
FIRST_STEP = 2 * PER_DECADE  # the search begins with every second power of ten
ROUGH = 1e-6  # tolerance that is enough to compare
ROUNDS = (20, 40, 80, 160, 1000)  # steps after which the curvature is measured again


@dataclass(frozen=True)
class Linear:
    """A linear classifier.

    Attributes:
        weight: ``[C, F]``.
        bias: ``[C]``, mean 0.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return logits: ``[N, F]`` → ``[N, C]``."""
        x = features.to(self.weight.device).to(self.weight.dtype)  # first to where float64 is
        return x @ self.weight.T + self.bias


class Problem:
    """Training data made ready once to be fitted with any number of λ.

    The data are centred, which the free bias makes good, and turned into their principal axes, at
    most N - 1 of them: neither changes the minimum, and along these axes the curvature of the loss
    is nearly diagonal, so that L-BFGS needs tens of steps in units of it.

    Args:
        features: ``[N, F]``.
        labels: ``[N]`` whole numbers in [0, classes).
        classes: how many there are.

    Raises:
        InputError: shapes do not fit, a value is not finite, or a label is out of range.
    """

    def __init__(self, features: Tensor, labels: Tensor, classes: int):
        check_shape("features", features, ["N", "F"])
        check_shape("labels", labels, [len(features)])
        if not len(features) or not torch.isfinite(features).all():
            raise InputError("features must be finite and not empty")
        if labels.min() < 0 or labels.max() >= classes:
            raise InputError(f"labels must be in [0, {classes}) but reach {int(labels.max())}")
        x = features.detach().cpu().double()  # on the CPU: not every device has float64
        self.labels, self.mean = labels.cpu().long(), x.mean(0)
        self.targets = F.one_hot(self.labels, classes).double()
        self.axes = _principal(x - self.mean)  # [F, K]
        self.data = F.pad((x - self.mean) @ self.axes, (0, 1), value=1.0)  # [N, K + 1]

    def fit(self, strength: float, *, tolerance: float = 1e-9) -> Linear:
        """Return the classifier that minimises the loss above.

        Args:
            strength: λ, above 0.
            tolerance: part of the loss that may be left to gain, as the gradient foretells.
        """
        check_range("the regularisation", strength, 0, above=True)
        penalty = self.data.new_full((self.data.shape[1],), strength)
        penalty[-1] = 0
        point = self.data.new_zeros(self.targets.shape[1], self.data.shape[1])
        for steps in ROUNDS:
            point, value, left = self._descend(point, penalty, steps)
            if left <= tolerance * value:
                break
        weight = point[:, :-1] @ self.axes.T
        bias = point[:, -1] - weight @ self.mean
        return Linear(weight, bias - bias.mean())  # a common shift changes nothing

    def _descend(self, point: Tensor, penalty: Tensor, steps: int) -> tuple[Tensor, float, float]:
        """Take `steps` of L-BFGS in units of the curvature at `point` ``[C, K + 1]``.

        Returns:
            The new point, its loss, and the squared gradient in those units.
        """
        p = (self.data @ point.T).softmax(-1)
        curvature = (p * (1 - p)).T @ self.data.square() + penalty
        unit = curvature.clamp(min=1e-12 * float(curvature.max())).rsqrt()
        inner = (point / unit).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [inner], max_iter=steps, history_size=10, line_search_fn="strong_wolfe",
            tolerance_grad=0, tolerance_change=1e-13,
        )  # fmt: skip

        def loss() -> Tensor:
            at = inner.detach() * unit
            log_p = (self.data @ at.T).log_softmax(-1)
            pull = penalty * at
            inner.grad = ((log_p.exp() - self.targets).T @ self.data + pull) * unit
            return (pull * at).sum() / 2 - (log_p * self.targets).sum()

        optimiser.step(loss)
        value = float(loss())
        assert inner.grad is not None  # the loss has just put it there
        return inner.detach() * unit, value, float(inner.grad.square().sum())


def fit(features: Tensor, labels: Tensor, classes: int, strength: float) -> Linear:
    """Fit one classifier; see `Problem`.

    Example:
        >>> x = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
        >>> fit(x, torch.tensor([0, 0, 1, 1]), 2, 1.0)(torch.tensor([[-3.0], [3.0]])).argmax(1)
        tensor([0, 1])
    """
    return Problem(features, labels, classes).fit(strength)


def search(score: Callable[[float], tuple[float, ...]]) -> float:
    """Return the λ of the grid with the highest score, found by a parametric binary search.

    The search begins with 1e-6, 1e-4, ... 1e6 and halves the distance around the best one until
    it is an eighth of a decade: some 15 of the 97 values of the grid.

    Args:
        score: λ → what is to be large, compared entry by entry; of equal ones the larger λ wins.
    """
    known: dict[int, tuple[float, ...]] = {}

    def best(places: range | list[int]) -> int:
        for place in places:
            if 0 <= place <= PER_DECADE * DECADES and place not in known:
                known[place] = (*score(strength_at(place)), place)
        return max(known, key=known.__getitem__)

    step = FIRST_STEP
    peak = best(range(0, PER_DECADE * DECADES + 1, step))
    while step > 1:
        step //= 2
        peak = best([peak - step, peak + step])
    return strength_at(peak)


def strength_at(place: int) -> float:
    """Return the λ at a place of the grid, 0 to 96."""
    return LOW * 10 ** (place / PER_DECADE)


def choose(problem: Problem, features: Tensor, labels: Tensor) -> float:
    """Return the λ whose classifier is right most often on a validation split ``[V, F]``, ``[V]``.

    Of those equally often right, the one with the least cross-entropy is taken.
    """

    def score(strength: float) -> tuple[float, float]:
        logits = problem.fit(strength, tolerance=ROUGH)(features)
        return accuracy(logits, labels), -float(F.cross_entropy(logits, labels.long()))

    return search(score)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows of ``[N, C]`` whose largest entry is at the label, in [0, 1]."""
    return float((logits.argmax(-1) == labels).float().mean())


def _principal(x: Tensor) -> Tensor:
    """Return the principal axes ``[F, K]`` along which centred data ``[N, F]`` extend."""
    rows, columns = x.shape
    values, vectors = torch.linalg.eigh(x.T @ x if columns <= rows else x @ x.T)
    keep = values > max(rows, columns) * torch.finfo(x.dtype).eps * values[-1].clamp(min=1e-300)
    values, vectors = values[keep], vectors[:, keep]
    return vectors if columns <= rows else x.T @ vectors / values.sqrt()
