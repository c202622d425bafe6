"""The UNet of Dhariwal & Nichol 2021 ("ADM") and Nichol & Dhariwal 2021 written out layer by layer.

It works on a state dict with the names of OpenAI's published checkpoints and a `Layout`, the
options that the training was given; it has no modules, and shares nothing with the package or
diffusers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """The options of a training that make the network, by the meaning of OpenAI's flags.

    `channels` times `mult` is the width of each level, the finest first; `attended` are the numbers
    of those with attention; `heads` of None means heads of 64 channels.
    """

    channels: int
    mult: tuple[float, ...]
    attended: tuple[int, ...]
    num_res_blocks: int = 2
    updown: bool = True
    scale_shift: bool = True
    heads: int | None = None
    new_order: bool = False
    classes: int | None = None
    out: int = 6
    time_scale: float = 1.0

    @property
    def widths(self) -> list[int]:
        return [int(self.channels * m) for m in self.mult]


def predict(
    state: State, layout: Layout, x: Tensor, t: Tensor, classes: Tensor | None = None
) -> Tensor:
    """Return the prediction ``[B, out, H, W]`` for noisy pixels ``[B, 3, H, W]``, steps ``[B]``."""
    emb = linear(state, "time_embed.0", sinusoids(t * layout.time_scale, layout.channels).to(x))
    emb = linear(state, "time_embed.2", swish(emb))
    if layout.classes is not None:
        emb = emb + torch.stack([state["label_emb.weight"][int(c)] for c in classes])
    last = len(layout.mult) - 1
    h = conv(state, "input_blocks.0.0", x)
    seen, n = [h], 1
    for level in range(last + 1):
        for _ in range(layout.num_res_blocks):
            h = residual(state, layout, f"input_blocks.{n}.0", h, emb)
            if level in layout.attended:
                h = attention(state, layout, f"input_blocks.{n}.1", h)
            seen, n = [*seen, h], n + 1
        if level < last:
            if layout.updown:
                h = residual(state, layout, f"input_blocks.{n}.0", h, emb, halved)
            else:
                h = conv(state, f"input_blocks.{n}.0.op", h, stride=2)
            seen, n = [*seen, h], n + 1
    h = residual(state, layout, "middle_block.0", h, emb)
    h = attention(state, layout, "middle_block.1", h)
    h = residual(state, layout, "middle_block.2", h, emb)
    n = 0
    for level in reversed(range(last + 1)):
        for j in range(layout.num_res_blocks + 1):
            h = torch.cat([h, seen.pop()], dim=1)
            h = residual(state, layout, f"output_blocks.{n}.0", h, emb)
            if level in layout.attended:
                h = attention(state, layout, f"output_blocks.{n}.1", h)
            if level > 0 and j == layout.num_res_blocks:
                place = f"output_blocks.{n}.{2 if level in layout.attended else 1}"
                if layout.updown:
                    h = residual(state, layout, place, h, emb, doubled)
                else:
                    h = conv(state, f"{place}.conv", doubled(h))
            n += 1
    return conv(state, "out.2", swish(norm(state, "out.0", h)))


def sinusoids(t: Tensor, channels: int) -> Tensor:
    """Return ``[B, channels]``: cosines, then sines, of wavelengths 2π to nearly 20000π.

    In float32, as the networks were trained, with its errors of some 1e-5 at late steps.
    """
    half = channels // 2
    rates = (-math.log(10000) * torch.arange(half, dtype=torch.float32) / half).exp()
    angles = t.to(torch.float32)[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def linear(state: State, name: str, h: Tensor) -> Tensor:
    return h @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def conv(state: State, name: str, h: Tensor, stride: int = 1) -> Tensor:
    """Return a convolution that keeps the size, but for the stride."""
    weight = state[f"{name}.weight"]
    return F.conv2d(h, weight, state[f"{name}.bias"], stride, weight.shape[-1] // 2)


def norm(state: State, name: str, h: Tensor) -> Tensor:
    """Return `h` normalised in 32 groups of channels."""
    groups = h.reshape(h.shape[0], 32, -1)
    mean = groups.mean(2, keepdim=True)
    variance = (groups - mean).square().mean(2, keepdim=True)
    h = ((groups - mean) / (variance + 1e-5).sqrt()).reshape(h.shape)
    return h * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def swish(h: Tensor) -> Tensor:
    """Return h · sigmoid(h)."""
    return h / (1 + (-h).exp())


def halved(h: Tensor) -> Tensor:
    """Return the means of 2x2 pixels."""
    return (h[..., 0::2, 0::2] + h[..., 0::2, 1::2] + h[..., 1::2, 0::2] + h[..., 1::2, 1::2]) / 4


def doubled(h: Tensor) -> Tensor:
    """Return every pixel as 2x2 equal ones."""
    return h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def residual(
    state: State,
    layout: Layout,
    name: str,
    h: Tensor,
    emb: Tensor,
    resample: Callable[[Tensor], Tensor] = lambda h: h,
) -> Tensor:
    """Return a residual block; both of its ways are resampled, if at all."""
    out = resample(swish(norm(state, f"{name}.in_layers.0", h)))
    h = resample(h)
    out = conv(state, f"{name}.in_layers.2", out)
    time = linear(state, f"{name}.emb_layers.1", swish(emb))[:, :, None, None]
    if layout.scale_shift:
        half = time.shape[1] // 2
        out = norm(state, f"{name}.out_layers.0", out) * (1 + time[:, :half]) + time[:, half:]
    else:
        out = norm(state, f"{name}.out_layers.0", out + time)
    out = conv(state, f"{name}.out_layers.3", swish(out))
    if f"{name}.skip_connection.weight" in state:
        h = conv(state, f"{name}.skip_connection", h)
    return h + out


def attention(state: State, layout: Layout, name: str, h: Tensor) -> Tensor:
    """Return attention between all pixels, head by head."""
    channels = h.shape[1]
    heads = layout.heads or channels // 64
    each = channels // heads
    x = norm(state, f"{name}.norm", h).flatten(2).transpose(1, 2)  # [B, pixels, C]
    qkv = x @ state[f"{name}.qkv.weight"][:, :, 0].T + state[f"{name}.qkv.bias"]
    outs = []
    for head in range(heads):
        starts = [(3 * head + part) * each for part in range(3)]
        if layout.new_order:
            starts = [part * channels + head * each for part in range(3)]
        q, k, v = (qkv[:, :, start : start + each] for start in starts)
        weights = (q @ k.transpose(1, 2) / each**0.5).exp()
        outs.append(weights @ v / weights.sum(2, keepdim=True))
    out = torch.cat(outs, dim=2) @ state[f"{name}.proj_out.weight"][:, :, 0].T
    out = out + state[f"{name}.proj_out.bias"]
    return h + out.transpose(1, 2).reshape(h.shape)


def entries(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes in a checkpoint of this layout."""
    found: dict[str, tuple[int, ...]] = {}
    width = 4 * layout.channels

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    def block(name: str, into: int, out: int) -> None:
        layer(f"{name}.in_layers.0", into)
        layer(f"{name}.in_layers.2", out, into, 3, 3)
        layer(f"{name}.emb_layers.1", 2 * out if layout.scale_shift else out, width)
        layer(f"{name}.out_layers.0", out)
        layer(f"{name}.out_layers.3", out, out, 3, 3)
        if into != out:
            layer(f"{name}.skip_connection", out, into, 1, 1)

    def attend(name: str, size: int) -> None:
        layer(f"{name}.norm", size)
        layer(f"{name}.qkv", 3 * size, size, 1)
        layer(f"{name}.proj_out", size, size, 1)

    def resample(name: str, kind: str, size: int) -> None:
        if layout.updown:
            block(name, size, size)
        else:
            layer(f"{name}.{kind}", size, size, 3, 3)

    sizes = layout.widths
    layer("time_embed.0", width, layout.channels)
    layer("time_embed.2", width, width)
    if layout.classes is not None:
        found["label_emb.weight"] = (layout.classes, width)
    layer("input_blocks.0.0", sizes[0], 3, 3, 3)
    seen, size, n = [sizes[0]], sizes[0], 1
    for level, out in enumerate(sizes):
        for _ in range(layout.num_res_blocks):
            block(f"input_blocks.{n}.0", size, out)
            if level in layout.attended:
                attend(f"input_blocks.{n}.1", out)
            seen, size, n = [*seen, out], out, n + 1
        if level < len(sizes) - 1:
            resample(f"input_blocks.{n}.0", "op", size)
            seen, n = [*seen, size], n + 1
    block("middle_block.0", size, size)
    attend("middle_block.1", size)
    block("middle_block.2", size, size)
    n = 0
    for level, out in reversed(list(enumerate(sizes))):
        for j in range(layout.num_res_blocks + 1):
            block(f"output_blocks.{n}.0", size + seen.pop(), out)
            size = out
            if level in layout.attended:
                attend(f"output_blocks.{n}.1", out)
            if level > 0 and j == layout.num_res_blocks:
                resample(f"output_blocks.{n}.{1 + (level in layout.attended)}", "conv", out)
            n += 1
    layer("out.0", size)
    layer("out.2", layout.out, size, 3, 3)
    return found


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    """Return weights under which every layer's output is about as large as its input."""
    generator = torch.Generator().manual_seed(seed)
    norms = (".in_layers.0.weight", ".out_layers.0.weight", ".norm.weight", "out.0.weight")
    state = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            value = 0.2 * value + name.endswith(norms)
        else:
            value = value / value[0].numel() ** 0.5
        state[name] = value
    return state
