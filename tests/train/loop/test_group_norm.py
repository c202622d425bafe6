"""Group norms of channels-last tensors."""

import pytest
import torch
from torch import nn

from guidance.train.loop.group_norm import GroupNorm, fast_group_norm


@pytest.mark.parametrize("shape", [(2, 8, 6, 5), (3, 8, 1, 1), (2, 8, 7)])
@pytest.mark.parametrize("last", [False, True])
def test_it_equals_that_of_torch(shape, last, generator):
    slow = nn.GroupNorm(4, 8, eps=1e-3).double()
    for p in slow.parameters():
        p.data = torch.randn(8, generator=generator).double()
    fast = GroupNorm(slow)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if last and x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    results = []
    for norm in (slow, fast):
        given = x.clone().requires_grad_()
        slow.zero_grad()
        y = norm(given)
        (y**3).sum().backward()
        results.append((y.detach(), given.grad, slow.weight.grad, slow.bias.grad))
        assert y.stride() == x.stride()
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_bfloat16_with_weights_in_float32(generator):
    slow = nn.GroupNorm(2, 8)
    x = torch.randn(2, 8, 9, 9, generator=generator).contiguous(memory_format=torch.channels_last)
    grads = []
    for norm, like in ((slow, x), (GroupNorm(slow), x.bfloat16())):
        given = like.clone().requires_grad_()
        (norm(given).float() ** 3).sum().backward()
        assert given.grad.dtype == like.dtype
        grads.append(given.grad.float())
    assert (grads[0] - grads[1]).norm() < 0.02 * grads[0].norm()


def test_only_norms_of_small_groups_are_replaced():
    network = nn.Sequential(
        nn.GroupNorm(8, 32), nn.GroupNorm(2, 32), nn.GroupNorm(8, 8, affine=False)
    )
    before = list(network.state_dict())
    fast_group_norm(network)
    assert [isinstance(norm, GroupNorm) for norm in network] == [True, False, False]
    assert list(network.state_dict()) == before
