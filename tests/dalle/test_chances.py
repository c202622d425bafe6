"""Which codes may be drawn, and how often they are."""

from __future__ import annotations

import math

import pytest
import torch

from guidance.dalle.chances import Chances, draw
from guidance.errors import InputError


def slow_chances(row: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """Return the chances of one row of logits, one code after another."""
    order = sorted(range(len(row)), key=lambda code: -row[code])
    if temperature == 0:
        return [float(code == order[0]) for code in range(len(row))]
    if top_k:
        least = row[order[min(top_k, len(row)) - 1]]
        order = [code for code in order if row[code] >= least]
    powers = {code: math.exp((row[code] - row[order[0]]) / temperature) for code in order}
    total = math.fsum(powers.values())
    left, reached = {}, 0.0
    for code in order:
        if reached >= top_p:
            break
        left[code] = powers[code] / total
        reached += left[code]
    return [left.get(code, 0.0) / math.fsum(left.values()) for code in range(len(row))]


@pytest.mark.parametrize("temperature", [0, 0.3, 1, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 5, 40, 100])
@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.9, 1])
def test_chances_are_those_of_the_reference(temperature, top_k, top_p, generator):
    logits = 3 * torch.randn(4, 40, generator=generator)
    made = Chances(temperature, top_k, top_p).of(logits)
    wanted = [slow_chances(row, temperature, top_k, top_p) for row in logits.tolist()]
    assert made.dtype == torch.float64
    torch.testing.assert_close(made, torch.tensor(wanted, dtype=torch.float64))


def test_huge_logits_and_equal_ones():
    chances = Chances(0.01, 2, 1.0).of(torch.tensor([[1e30, 1e30, 1e30, 0.0], [-1e30, 0, 1, 1]]))
    torch.testing.assert_close(chances[0], torch.tensor([1, 1, 1, 0]) / 3, check_dtype=False)
    torch.testing.assert_close(chances[1], torch.tensor([0, 0, 0.5, 0.5]), check_dtype=False)


def test_draws_have_their_chances(generator):
    wanted = torch.tensor([0.0, 0.4, 0.0, 0.05, 0.25, 0.3, 0.0])
    count = 20_000
    uniform = torch.rand(count, dtype=torch.float64, generator=generator)
    found = draw(wanted.expand(count, -1), uniform).bincount(minlength=7)
    assert (found[wanted == 0] == 0).all()
    expected = count * wanted[wanted > 0]
    chi_square = ((found[wanted > 0] - expected) ** 2 / expected).sum()
    assert chi_square < 16.3, "of three degrees of freedom, one in a thousand"


def test_ends_of_the_distribution():
    chances = torch.tensor([[0.0, 0.5, 0.5, 0.0]]).expand(3, -1)
    assert draw(chances, torch.tensor([0.0, 0.5, 1 - 2**-53])).tolist() == [1, 2, 2]
    assert draw(torch.tensor([[0.1] * 3 + [0.0]]), torch.ones(1)).tolist() == [2], "rounded up"


@pytest.mark.parametrize(
    ("values", "message"),
    [({"temperature": -1}, "temperature must be"), ({"top_k": -1}, "top_k must be at least 0"),
     ({"top_p": 0}, "top_p must be"), ({"top_p": 1.1}, "top_p must be")],
)  # fmt: skip
def test_values_are_checked(values, message):
    with pytest.raises(InputError, match=message):
        Chances(**values)
