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
    def forward(ctx, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[bad-override]
        x, weight = ctx.saved_tensors
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        dx, dw, _ = torch.ops.aten.convolution_backward(
            grad.to(wide), x.to(wide), weight.to(wide), None,
            [ctx.stride] * 2, [ctx.padding] * 2, [1, 1], False, [0, 0], x.shape[1],
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False],
        )  # fmt: skip
        dx = dx if dx is None else dx.to(x.dtype)
        return dx, dw if dw is None else dw.to(weight.dtype), None, None


class DepthwiseConv(nn.Module):
    """Stand-in for a square depthwise `Conv2d` with "same" padding; shares its weight by name."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight
        self.stride, self.kernel = conv.stride[0], conv.kernel_size[0]

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[B, C, H, W]``."""
        padding = self.kernel // 2
        if self.stride > 1:  # TensorFlow's "same": the odd pixel goes to the right and bottom
            needed = [
                max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0)
                for n in (x.shape[-1], x.shape[-2])
            ]
            x = F.pad(x, [p for n in needed for p in (n // 2, n - n // 2)])
            padding = 0
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        return _Depthwise.apply(x.to(dtype), self.weight.to(dtype), self.stride, padding)


def fast_depthwise(network: nn.Module) -> nn.Module:
    """Replace every depthwise convolution of `network` in place; the state dict stays the same."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, DepthwiseConv(module))
    return network
