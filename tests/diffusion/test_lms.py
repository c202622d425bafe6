"""Linear multistep weights against polynomials, and the order of the method."""

from __future__ import annotations

import pytest
import torch
from known_data import SCHEDULES
from numpy.polynomial import Polynomial

from guidance.diffusion.lms import ORDER, weights
from guidance.diffusion.sampling import Sampler


@pytest.mark.parametrize("count", range(1, ORDER + 1))
def test_weights_are_integrals_of_lagrange_polynomials(count):
    points, end = [3.1, 4.7, 9.2, 10.0][:count], 1.4
    for k, share in enumerate(weights(points, end)):
        others = points[:k] + points[k + 1 :]
        basis = Polynomial.fromroots(others) if others else Polynomial(1)
        integral = (basis / basis(points[k])).integ()
        assert share == pytest.approx(integral(end) - integral(points[0]), rel=1e-12)


def test_known_weights():
    """Even steps: Adams-Bashforth (Hairer, Norsett & Wanner I, section III.1, eq. 1.9)."""
    assert weights([0, 1, 2, 3], -1) == pytest.approx([-55 / 24, 59 / 24, -37 / 24, 9 / 24])
    assert weights([0, 1, 2], -1) == pytest.approx([-23 / 12, 16 / 12, -5 / 12])
    assert weights([0, 1], -1) == pytest.approx([-3 / 2, 1 / 2])
    assert weights([0], -1) == pytest.approx([-1])


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("skip", [0, 9])
def test_a_cubic_derivative_is_integrated_exactly(kind, skip):
    """Once four derivatives are known, x' = s^3 leads to s^4 / 4, wherever the run begins."""
    sampler = Sampler("lms", {**SCHEDULES["linear"], "prediction_type": kind}, 30, skip=skip)
    ratios = [sigma / alpha for alpha, sigma in (sampler.level(i) for i in range(len(sampler)))]
    ratios.append(0.0)
    x = torch.ones(1, 1, 1, 1)
    errors = []
    for i in range(len(sampler)):
        z, before = sampler.to_input(x, i), float(x)
        eps = torch.full_like(x, (ratios[i] / ratios[0]) ** 3)
        x = sampler.step(x, i, sampler.x0_of(z, eps, i), eps)
        change = (ratios[i + 1] ** 4 - ratios[i] ** 4) / 4 / ratios[0] ** 3
        errors.append(abs(float(x) - before - change) / ratios[0])
    assert max(errors[ORDER - 1 :]) < 1e-6
    assert errors[0] > 1e-3  # the first step is Euler's
