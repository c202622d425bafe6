"""Quantisation against a slow reference, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from reference.slow_quantise import (
    gumbel_noise,
    slow_clamp_gradient,
    slow_gumbel,
    slow_nearest,
    slow_quantise,
)

from guidance.errors import InputError
from guidance.models.quantise import (
    clamp_channels,
    clamp_inward,
    code_range,
    gumbel_codes,
    nearest_codes,
    quantise,
    straight_through,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(seed: int = 0, dtype=torch.float64):
    """Return z [2, 4, 3, 5] and a codebook [7, 4]."""
    g = seeded(seed)
    z = torch.randn(2, 4, 3, 5, generator=g, dtype=dtype)
    return z, torch.randn(7, 4, generator=g, dtype=dtype)


@pytest.mark.parametrize("most", [1, 20, 10**6])
def test_nearest_is_the_slow_one_in_any_batches(most, generator):
    rows = torch.randn(50, 6, generator=generator)
    codebook = torch.randn(33, 6, generator=generator)
    found = nearest_codes(rows, codebook, max_distances=most)
    assert found.tolist() == slow_nearest(rows, codebook)


def test_nearest_is_exact_among_close_codes_also_with_fast_products(generator):
    # codes far from 0 and near to each other: rounding the product to 8 bits would mix them up
    codebook = 1 + 0.01 * torch.randn(64, 16, generator=generator)
    rows = codebook[torch.randperm(64, generator=generator)]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        found = nearest_codes(rows, codebook)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(codebook[found], rows)


def test_nearest_makes_no_differences(generator):
    rows = torch.randn(64, 32, generator=generator)
    codebook = torch.randn(512, 32, generator=generator)
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Largest():
        nearest_codes(rows, codebook, max_distances=8 * 512)
    assert largest <= 512 * 32  # the codebook itself; differences would be 64 times as many


def test_quantise_values_and_gradient():
    z, codebook = sample()
    z.requires_grad_()
    codebook.requires_grad_()
    out = quantise(z, codebook)
    assert torch.equal(out, slow_quantise(z, codebook.detach()))
    upstream = torch.randn(out.shape, generator=seeded(1), dtype=out.dtype)
    out.backward(upstream)
    assert torch.equal(z.grad, upstream)  # that of the identity
    assert codebook.grad is None


def test_quantise_in_channels_last():
    z, codebook = sample()
    last = z.contiguous(memory_format=torch.channels_last)
    assert torch.equal(quantise(last, codebook), quantise(z, codebook))


def test_straight_through_is_exact():
    z = torch.tensor([1e8], requires_grad=True)
    value = torch.tensor([0.1], requires_grad=True)
    out = straight_through(value, z)
    (3 * out).backward()
    assert out.item() == value.item()  # z + (value - z) would be 0
    assert z.grad.item() == 3
    assert value.grad is None


def test_straight_through_gradient_is_that_of_the_identity():
    z, codebook = sample()
    value = quantise(z, codebook).detach()
    z.requires_grad_()
    weight = torch.randn(z.shape, generator=seeded(2), dtype=z.dtype)
    (straight_through(value, z) * weight).sum().backward()
    slow = z.detach().clone().requires_grad_()
    ((slow + (value - slow).detach()) * weight).sum().backward()
    assert torch.equal(z.grad, slow.grad)


@pytest.mark.parametrize(("temperature", "unit"), [(0.3, 1.0), (1.0, 2.5), (4.0, 0.5)])
def test_gumbel_codes_and_gradients(temperature, unit):
    z, codebook = sample(3)
    noise = gumbel_noise(30, 7, seeded(5))
    upstream = torch.randn(z.shape, generator=seeded(6), dtype=z.dtype)
    for hard in (True, False):
        fast, slow = (z.clone().requires_grad_() for _ in range(2))
        out = gumbel_codes(
            fast, codebook, temperature=temperature, unit=unit, generator=seeded(5), hard=hard
        )
        drawn, mixed = slow_gumbel(slow, codebook, temperature, unit, noise)
        assert torch.allclose(out, drawn if hard else mixed, atol=1e-10, rtol=0)
        out.backward(upstream)
        mixed.backward(upstream)
        assert torch.allclose(fast.grad, slow.grad, atol=1e-10, rtol=0)


def test_gumbel_gradcheck():
    z, codebook = sample(4)
    z = z[:1, :, :2, :2].clone().requires_grad_()

    def soft(z):
        return gumbel_codes(z, codebook, temperature=0.7, generator=seeded(1), hard=False)

    assert torch.autograd.gradcheck(soft, z)


def test_gumbel_draws_near_codes_more_often():
    codebook = torch.tensor([[0.0], [1.0], [3.0]])
    z = torch.full((1, 1, 100, 100), 0.2)
    drawn = gumbel_codes(z, codebook, temperature=1.0, generator=seeded())
    share = [(drawn == code).float().mean().item() for code in (0.0, 1.0, 3.0)]
    expected = (-(codebook[:, 0] - 0.2).pow(2)).softmax(0).tolist()
    assert share == pytest.approx(expected, abs=0.02)
    same = gumbel_codes(z, codebook, temperature=1.0, generator=seeded())
    assert torch.equal(drawn, same)


def test_code_range_and_clamp():
    codebook = torch.tensor([[0.0, -1.0], [2.0, 5.0], [1.0, 0.0]])
    low, high = code_range(codebook)
    assert low.tolist() == [0, -1]
    assert high.tolist() == [2, 5]
    z = torch.tensor([-9.0, 9.0]).view(1, 2, 1, 1)
    assert clamp_channels(z, low, high).flatten().tolist() == [0, 5]
    assert clamp_channels(-z, low, high).flatten().tolist() == [2, -1]


def test_clamp_inward_value_and_gradient():
    values = [-2.0, -0.1, 0.0, 0.4, 1.0, 1.1, 3.0]
    for slope in (-1.5, 0.0, 2.0):
        x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
        out = clamp_inward(x, 0.0, 1.0)
        assert out.tolist() == [min(1.0, max(0.0, v)) for v in values]
        (slope * out).sum().backward()
        assert x.grad.tolist() == [slow_clamp_gradient(v, slope, 0.0, 1.0) for v in values]


def test_clamp_inward_gradcheck_inside():
    x = torch.linspace(0.1, 0.9, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: clamp_inward(x, 0.0, 1.0), x)


BAD = {
    "rows of another width": (lambda z, c: nearest_codes(torch.zeros(3, 5), c), r"rows must have shape \[N, 4\]"),  # noqa: E501
    "no codes": (lambda z, c: nearest_codes(torch.zeros(3, 4), c[:0]), "at least one code"),
    "grid of another depth": (lambda z, c: quantise(z[:, :3], c), r"z must have shape \[B, 4"),
    "codebook of three axes": (lambda z, c: quantise(z, c[None]), "codebook must have shape"),
    "values of another shape": (lambda z, c: straight_through(z[:1], z), "value must have shape"),
    "no temperature": (lambda z, c: gumbel_codes(z, c, temperature=0, generator=seeded()), "temperature must be greater than 0"),  # noqa: E501
    "no unit": (lambda z, c: gumbel_codes(z, c, temperature=1, unit=0, generator=seeded()), "unit must be greater than 0"),  # noqa: E501
    "range of another depth": (lambda z, c: clamp_channels(z, c[0, :3], c[0]), "low must have"),
    "range reversed": (lambda z, c: clamp_inward(z, 1.0, 0.0), "low must be"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, expected = BAD[case]
    with pytest.raises(InputError, match=expected):
        call(*sample())
