"""Convolutions whose weights are frozen: they keep nothing of their input for the backward pass.

PyTorch's convolution keeps its input for the gradient of the weights even if nobody asks for it;
in a picture decoder these inputs are about half of what a step holds in memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input


class FrozenConv2d(nn.Conv2d):
    """A convolution ``[B, C, H, W]`` with zero padding that passes gradients to its input only."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; falls back to PyTorch's while the weights learn or no gradient is wanted."""
        if self.weight.requires_grad or not (input.requires_grad and torch.is_grad_enabled()):
            return super().forward(input)
        shape = self.stride, self.padding, self.dilation, self.groups
        return _FrozenConv.apply(input, self.weight, self.bias, *shape)


def freeze_convolutions(network: nn.Module) -> int:
    """Replace the convolutions of `network` by `FrozenConv2d`, in place; names stay as they are.

    Returns:
        The number of convolutions replaced.
    """
    count = 0
    for name, module in list(network.named_modules()):
        if not name or type(module) is not nn.Conv2d or module.padding_mode != "zeros":
            continue
        if not isinstance(module.padding, str):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, _frozen(module, module.padding))
            count += 1
    return count


def _frozen(conv: nn.Conv2d, padding: tuple[int, ...]) -> FrozenConv2d:
    with torch.device("meta"):  # its own weights are never used
        frozen = FrozenConv2d(
            conv.in_channels,
            conv.out_channels,
            _sides(conv.kernel_size),
            _sides(conv.stride),
            _sides(padding),
            _sides(conv.dilation),
            conv.groups,
            bias=conv.bias is not None,
        )
    frozen.weight, frozen.bias = conv.weight, conv.bias
    return frozen


def _sides(pair: tuple[int, ...]) -> tuple[int, int]:
    height, width = pair
    return height, width


class _FrozenConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, dilation, groups):
        ctx.save_for_backward(weight)
        ctx.shape, ctx.kind = x.shape, x.dtype
        ctx.options = stride, padding, dilation, groups
        return F.conv2d(x, weight, bias, *ctx.options)

    @staticmethod
    @once_differentiable  # its types forget the name of ctx
    def backward(ctx, *gradients):  # pyrefly: ignore[bad-override]
        (gradient,) = gradients
        (weight,) = ctx.saved_tensors
        # under autocast the forward pass has rounded the weights likewise
        weight = weight.to(gradient.dtype)
        out = conv2d_input(ctx.shape, weight, gradient, *ctx.options)
        return out.to(ctx.kind), None, None, None, None, None, None
