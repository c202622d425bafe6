"""Depthwise convolutions whose backward pass is fast on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution whose backward pass runs in float32.

    oneDNN's bfloat16 kernels for it are slower than the float32 ones by up to a factor of five.
    """

    @staticmethod
    def forward(
        ctx, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[bad-override]
        x, weight = ctx.saved_tensors
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        found = torch.ops.aten.convolution_backward(
            grad.to(wide), x.to(wide), weight.to(wide), [len(weight)],
            [ctx.stride] * 2, ctx.padding, [1, 1], False, [0, 0], x.shape[1],
            list(ctx.needs_input_grad[:3]),
        )  # fmt: skip
        narrow = (g if g is None else g.to(x.dtype) for g in found)
        return *narrow, None, None


class DepthwiseConv(nn.Module):
    """Stand-in for a square depthwise `Conv2d` or timm `Conv2dSame`; shares its weights by name."""

    def __init__(self, conv: nn.Conv2d) -> None:
        from timm.layers import Conv2dSame

        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.kernel = conv.stride[0], conv.kernel_size[0]
        self.same = isinstance(conv, Conv2dSame)
        self.padding = (0, 0) if self.same else conv.padding

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[B, C, H, W]``."""
        if self.same:  # TensorFlow's "same": the odd pixel goes to the right and bottom
            needed = [
                max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0)
                for n in (x.shape[-1], x.shape[-2])
            ]
            x = F.pad(x, [p for n in needed for p in (n // 2, n - n // 2)])
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        weight, bias = (p if p is None else p.to(dtype) for p in (self.weight, self.bias))
        return _Depthwise.apply(x.to(dtype), weight, bias, self.stride, self.padding)


def fast_depthwise(network: nn.Module) -> nn.Module:
    """Replace every depthwise convolution of `network` in place; the state dict stays the same."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d) and _plain(module):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, DepthwiseConv(module))
    return network


def _plain(conv: nn.Conv2d) -> bool:
    """Return whether `conv` is what `DepthwiseConv` can stand in for."""
    depthwise = conv.groups == conv.in_channels > 1
    square = all(len(set(pair)) == 1 for pair in (conv.kernel_size, conv.stride))
    known = not isinstance(conv.padding, str) and conv.padding_mode == "zeros"
    return depthwise and square and known and conv.dilation == (1, 1)
