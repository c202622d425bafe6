"""Convolutions with frozen weights against PyTorch's, in value, gradient and memory."""

from __future__ import annotations

import pytest
import tiny_vqgan
import torch
from torch import nn

from guidance.models.frozen_conv import FrozenConv2d, freeze_convolutions

KINDS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": 1, "bias": False},
    {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 2},
]


def pair(**options) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Return a convolution and its frozen twin."""
    torch.manual_seed(0)
    holder = nn.Sequential(nn.Conv2d(4, 6, **options)).double().requires_grad_(False)
    plain = holder[0]
    assert freeze_convolutions(holder) == 1
    assert type(holder[0]) is FrozenConv2d
    return plain, holder[0]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_value_and_gradient(options, generator):
    plain, frozen = pair(**options)
    x = torch.randn(2, 4, 9, 8, generator=generator, dtype=torch.float64)
    slow, fast = (x.clone().requires_grad_() for _ in range(2))
    expected, out = plain(slow), frozen(fast)
    torch.testing.assert_close(out, expected)
    upstream = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    expected.backward(upstream)
    out.backward(upstream)
    torch.testing.assert_close(fast.grad, slow.grad)


def test_gradcheck(generator):
    _, frozen = pair(kernel_size=3, padding=1)
    x = torch.randn(1, 4, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(frozen, x)


def test_autocast_rounds_as_pytorch_does(generator):
    plain, frozen = (m.float() for m in pair(kernel_size=3, padding=1))
    x = torch.randn(1, 4, 8, 8, generator=generator)
    gradients = []
    for conv in (plain, frozen):
        leaf = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            out = conv(leaf)
        assert out.dtype == torch.bfloat16
        out.float().pow(2).sum().backward()
        gradients.append(leaf.grad)
    assert gradients[1].dtype == torch.float32
    torch.testing.assert_close(gradients[1], gradients[0], rtol=2e-2, atol=2e-2)


def test_weights_that_learn_get_their_gradient(generator):
    _, frozen = pair(kernel_size=3)
    frozen.requires_grad_()
    x = torch.randn(1, 4, 5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    frozen(x).sum().backward()
    assert frozen.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", tiny_vqgan.NAMES)
def test_a_frozen_decoder_is_the_decoder(kind):
    plain, frozen = (tiny_vqgan.build(kind).requires_grad_(False) for _ in range(2))
    assert freeze_convolutions(frozen.decoder) > 10
    assert freeze_convolutions(frozen.decoder) == 0
    assert set(frozen.state_dict()) == set(plain.state_dict())
    z = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    gradients = []
    for network in (plain, frozen):
        leaf = z.clone().requires_grad_()
        network.decoder(leaf).pow(2).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_nothing_of_the_input_is_kept(generator):
    kept = []

    def pack(x: torch.Tensor) -> torch.Tensor:
        kept.append(x.numel())
        return x

    plain, frozen = pair(kernel_size=3, padding=1)
    x = torch.randn(1, 4, 32, 32, generator=generator, dtype=torch.float64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        plain(x)
        before, kept[:] = sum(kept), []
        frozen(x)
    assert before > x.numel()
    assert sum(kept) == frozen.weight.numel()


def test_other_paddings_are_left_alone(generator):
    for options in ({"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}):
        network = nn.Sequential(nn.Conv2d(2, 2, 3, **options))
        assert freeze_convolutions(network) == 0
        assert network(torch.rand(1, 2, 4, 4, generator=generator)).shape == (1, 2, 4, 4)
