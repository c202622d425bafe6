"""The fused group norm against PyTorch's, in value and gradient."""

from __future__ import annotations

import pytest
import tiny_vqgan
import torch
import torch.nn.functional as F
from torch import nn

from guidance.models.fused_norm import NormSiLU, fuse_norms, norm_silu

SHAPES = [(1, 8, 5, 7, 4), (2, 12, 3, 4, 3), (3, 4, 1, 1, 2), (1, 6, 4, 4, 6), (1, 6, 4, 4, 1)]


def arrays(shape, dtype=torch.float64, mean=0.5):
    g = torch.Generator().manual_seed(0)
    batch, channels, height, width, _ = shape
    x = mean + torch.randn(batch, channels, height, width, generator=g, dtype=dtype)
    weight, bias = (torch.randn(channels, generator=g, dtype=dtype) for _ in range(2))
    return x, weight, bias, torch.randn(x.shape, generator=g, dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_value_and_gradient(shape, order):
    x, weight, bias, upstream = arrays(shape)
    slow = x.clone().requires_grad_()
    expected = F.silu(F.group_norm(slow, shape[-1], weight, bias, 1e-5))
    expected.backward(upstream)
    fast = x.contiguous(memory_format=order).requires_grad_()
    out = norm_silu(fast, weight, bias, shape[-1], 1e-5)
    out.backward(upstream.contiguous(memory_format=order))
    assert torch.allclose(out, expected, atol=1e-10, rtol=0)
    assert torch.allclose(fast.grad, slow.grad, atol=1e-9, rtol=0)


def test_gradcheck():
    x, weight, bias, _ = arrays((2, 6, 2, 3, 3))
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: norm_silu(x, weight, bias, 3, 1e-5), x)


@pytest.mark.parametrize("mean", [0.0, 3.0])
def test_bf16_is_about_as_exact_as_pytorchs(mean):
    shape = (1, 16, 64, 64, 8)
    x, weight, bias, upstream = arrays(shape, mean=mean)
    x = x.bfloat16().double()
    exact = x.clone().requires_grad_()
    F.silu(F.group_norm(exact, 8, weight, bias, 1e-5)).backward(upstream)
    errors = []
    for function in (lambda x, *a: F.silu(F.group_norm(x, 8, *a, 1e-5)),
                     lambda x, *a: norm_silu(x, *a, 8, 1e-5)):  # fmt: skip
        rounded = x.bfloat16().requires_grad_()
        function(rounded, weight.float(), bias.float()).backward(upstream.bfloat16())
        errors.append((rounded.grad.double() - exact.grad).pow(2).mean().sqrt().item())
    assert errors[1] < 3 * errors[0]
    assert errors[1] < 0.01 * exact.grad.pow(2).mean().sqrt()


@pytest.mark.parametrize("kind", ["vq", "kl"])
def test_a_fused_decoder_is_the_decoder(kind):
    plain, fused = (tiny_vqgan.build(kind).requires_grad_(False) for _ in range(2))
    # 2 in each of 2 blocks in the middle and of 3 times 2 blocks going up, and 1 at the end
    assert fuse_norms(fused.decoder) == 17
    assert fuse_norms(fused.decoder) == 0
    assert set(fused.state_dict()) == set(plain.state_dict())
    z = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    gradients = []
    for network in (plain, fused):
        leaf = z.clone().requires_grad_()
        network.decoder(network.post_quant_conv(leaf)).pow(2).sum().backward()
        gradients.append(leaf.grad)
        with torch.no_grad():
            gradients.append(network.decoder(network.post_quant_conv(z)))
    assert torch.allclose(gradients[1], gradients[3], atol=1e-5)
    scale = gradients[0].abs().max()
    assert torch.allclose(gradients[0] / scale, gradients[2] / scale, atol=1e-5)


def test_weights_that_learn_get_their_gradient():
    norm = NormSiLU(2, 4)
    norm(torch.randn(1, 4, 3, 3, requires_grad=True)).sum().backward()
    assert norm.weight.grad is not None


def test_other_blocks_are_left_alone():
    spatial = tiny_vqgan.build(**tiny_vqgan.SPATIAL).decoder
    assert fuse_norms(spatial) == 0
    relu = tiny_vqgan.build(act_fn="relu").decoder
    assert fuse_norms(relu) == 1  # the end is SiLU in any case
    assert fuse_norms(nn.Sequential(nn.GroupNorm(2, 4), nn.SiLU())) == 0


def test_only_the_input_is_kept():
    """A decoder then keeps about a third less: its convolutions keep their input in any case."""
    kept = []
    for fuse in (False, True):
        decoder = tiny_vqgan.build().requires_grad_(False).decoder
        if fuse:
            fuse_norms(decoder)
        seen = {}
        z = torch.randn(1, 4, 8, 8, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(_keep_in(seen), lambda x: x):
            decoder(z)
        kept.append(sum(x.numel() for x in seen.values()))
    assert kept[1] < 0.72 * kept[0]


def _keep_in(seen: dict[int, torch.Tensor]):
    def pack(x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 4 and x.requires_grad:
            seen[x.data_ptr()] = x
        return x

    return pack
