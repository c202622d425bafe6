"""The VQGAN of Esser et al. 2021 written out: encoder, quantisers and decoder, layer by layer.

It works on a state dict with the names of a published checkpoint, which say what layers there are;
it has neither modules nor a config, and shares nothing with the package or diffusers.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def encode(state: State, pixels: Tensor) -> Tensor:
    """Return the latents ``[B, C, h, w]``, before quantisation, of pixels ``[B, 3, H, W]``."""
    h = conv(state, "encoder.conv_in", pixels)
    levels = count(state, "encoder.down.{}.block.0.conv1.weight")
    for i in range(levels):
        for j in range(count(state, f"encoder.down.{i}.block.{{}}.conv1.weight")):
            h = residual(state, f"encoder.down.{i}.block.{j}", h)
            if f"encoder.down.{i}.attn.{j}.q.weight" in state:
                h = attention(state, f"encoder.down.{i}.attn.{j}", h)
        if i < levels - 1:  # one row and one column of zeros at the bottom and the right
            h = F.pad(h, (0, 1, 0, 1))
            h = conv(state, f"encoder.down.{i}.downsample.conv", h, stride=2, padding=0)
    h = tail(state, "encoder", middle(state, "encoder", h))
    return conv(state, "quant_conv", h)


def decode(state: State, codes: Tensor) -> Tensor:
    """Return the pixels ``[B, 3, H, W]`` of codes ``[B, C, h, w]``, not clamped."""
    h = conv(state, "decoder.conv_in", conv(state, "post_quant_conv", codes))
    h = middle(state, "decoder", h)
    for i in reversed(range(count(state, "decoder.up.{}.block.0.conv1.weight"))):
        for j in range(count(state, f"decoder.up.{i}.block.{{}}.conv1.weight")):
            h = residual(state, f"decoder.up.{i}.block.{j}", h)
            if f"decoder.up.{i}.attn.{j}.q.weight" in state:
                h = attention(state, f"decoder.up.{i}.attn.{j}", h)
        if i > 0:
            h = h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            h = conv(state, f"decoder.up.{i}.upsample.conv", h)
    return tail(state, "decoder", h)


def nearest_codes(state: State, latents: Tensor) -> Tensor:
    """Return for each cell the code at the smallest distance."""
    book = state["quantize.embedding.weight"]
    out = torch.empty_like(latents)
    for b in range(latents.shape[0]):
        for y in range(latents.shape[2]):
            for x in range(latents.shape[3]):
                distances = [(latents[b, :, y, x] - code).square().sum() for code in book]
                out[b, :, y, x] = book[int(torch.stack(distances).argmin())]
    return out


def likeliest_codes(state: State, latents: Tensor) -> Tensor:
    """Return for each cell the code with the largest logit, as the Gumbel variant does at last."""
    logits = conv(state, "quantize.proj", latents)
    out = torch.empty_like(latents)
    for b in range(latents.shape[0]):
        for y in range(latents.shape[2]):
            for x in range(latents.shape[3]):
                out[b, :, y, x] = state["quantize.embed.weight"][int(logits[b, :, y, x].argmax())]
    return out


def conv(state: State, name: str, h: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
    """Return a convolution that keeps the size unless told otherwise."""
    weight = state[f"{name}.weight"]
    padding = weight.shape[-1] // 2 if padding is None else padding
    return F.conv2d(h, weight, state[f"{name}.bias"], stride, padding)


def norm(state: State, name: str, h: Tensor) -> Tensor:
    """Return `h` normalised in 32 groups of channels."""
    groups = h.reshape(h.shape[0], 32, -1)
    mean = groups.mean(2, keepdim=True)
    variance = (groups - mean).square().mean(2, keepdim=True)
    h = ((groups - mean) / (variance + 1e-6).sqrt()).reshape(h.shape)
    return h * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def swish(h: Tensor) -> Tensor:
    """Return h · sigmoid(h)."""
    return h / (1 + (-h).exp())


def residual(state: State, name: str, h: Tensor) -> Tensor:
    """Return a residual block; a 1x1 convolution fits the input where the channels change."""
    out = conv(state, f"{name}.conv1", swish(norm(state, f"{name}.norm1", h)))
    out = conv(state, f"{name}.conv2", swish(norm(state, f"{name}.norm2", out)))
    if f"{name}.nin_shortcut.weight" in state:
        h = conv(state, f"{name}.nin_shortcut", h)
    return h + out


def attention(state: State, name: str, h: Tensor) -> Tensor:
    """Return attention of one head between all pixels."""
    x = norm(state, f"{name}.norm", h)
    q, k, v = (conv(state, f"{name}.{part}", x).flatten(2) for part in "qkv")  # [B, C, pixels]
    weights = torch.einsum("bci,bcj->bij", q, k) / q.shape[1] ** 0.5
    weights = weights.exp() / weights.exp().sum(2, keepdim=True)
    out = torch.einsum("bij,bcj->bci", weights, v).reshape(h.shape)
    return h + conv(state, f"{name}.proj_out", out)


def middle(state: State, side: str, h: Tensor) -> Tensor:
    """Return the two blocks of the coarsest level, with attention between them if there is one."""
    h = residual(state, f"{side}.mid.block_1", h)
    if f"{side}.mid.attn_1.q.weight" in state:
        h = attention(state, f"{side}.mid.attn_1", h)
    return residual(state, f"{side}.mid.block_2", h)


def tail(state: State, side: str, h: Tensor) -> Tensor:
    """Return the last layers of the encoder or the decoder."""
    return conv(state, f"{side}.conv_out", swish(norm(state, f"{side}.norm_out", h)))


def count(state: State, name: str) -> int:
    """Return how many of ``name.format(0)``, ``name.format(1)``, ... there are."""
    found = 0
    while name.format(found) in state:
        found += 1
    return found


@dataclass(frozen=True)
class Architecture:
    """The sizes of a VQGAN; `attended` are the levels with attention, of which the finest is 0."""

    ch: int
    ch_mult: tuple[int, ...]
    attended: tuple[int, ...]
    n_embed: int
    z_channels: int
    embed_dim: int
    num_res_blocks: int = 2
    gumbel: bool = False
    mid_attention: bool = True


def entries(**sizes: object) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes in a checkpoint of an `Architecture` without its loss."""
    given = Architecture(**sizes)
    ch, ch_mult, attended = given.ch, given.ch_mult, given.attended
    n_embed, z_channels, embed_dim = given.n_embed, given.z_channels, given.embed_dim
    num_res_blocks, gumbel, mid_attention = given.num_res_blocks, given.gumbel, given.mid_attention
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    def block(name: str, into: int, out: int) -> None:
        layer(f"{name}.norm1", into)
        layer(f"{name}.conv1", out, into, 3, 3)
        layer(f"{name}.norm2", out)
        layer(f"{name}.conv2", out, out, 3, 3)
        if into != out:
            layer(f"{name}.nin_shortcut", out, into, 1, 1)

    def attend(name: str, size: int) -> None:
        layer(f"{name}.norm", size)
        for part in ("q", "k", "v", "proj_out"):
            layer(f"{name}.{part}", size, size, 1, 1)

    sizes = [ch * m for m in ch_mult]
    for side in ("encoder", "decoder"):
        block(f"{side}.mid.block_1", sizes[-1], sizes[-1])
        block(f"{side}.mid.block_2", sizes[-1], sizes[-1])
        if mid_attention:
            attend(f"{side}.mid.attn_1", sizes[-1])
    layer("encoder.conv_in", ch, 3, 3, 3)
    for i, size in enumerate(sizes):
        for j in range(num_res_blocks):
            block(f"encoder.down.{i}.block.{j}", size if j else ([ch, *sizes])[i], size)
            if i in attended:
                attend(f"encoder.down.{i}.attn.{j}", size)
        if i < len(sizes) - 1:
            layer(f"encoder.down.{i}.downsample.conv", size, size, 3, 3)
    layer("encoder.norm_out", sizes[-1])
    layer("encoder.conv_out", z_channels, sizes[-1], 3, 3)
    layer("decoder.conv_in", sizes[-1], z_channels, 3, 3)
    for i, size in enumerate(sizes):
        for j in range(num_res_blocks + 1):
            block(f"decoder.up.{i}.block.{j}", size if j else ([*sizes, sizes[-1]])[i + 1], size)
            if i in attended:
                attend(f"decoder.up.{i}.attn.{j}", size)
        if i > 0:
            layer(f"decoder.up.{i}.upsample.conv", size, size, 3, 3)
    layer("decoder.norm_out", sizes[0])
    layer("decoder.conv_out", 3, sizes[0], 3, 3)
    layer("quant_conv", embed_dim, z_channels, 1, 1)
    layer("post_quant_conv", z_channels, embed_dim, 1, 1)
    if gumbel:
        layer("quantize.proj", n_embed, embed_dim, 1, 1)
    found["quantize.embed.weight" if gumbel else "quantize.embedding.weight"] = (n_embed, embed_dim)
    return found


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    """Return weights under which every layer's output is about as large as its input."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            value = 0.2 * value + ("norm" in name and name.endswith("weight"))
        elif len(shape) == 4:
            value = value / (shape[1] * shape[2] * shape[3]) ** 0.5
        state[name] = value
    return state
