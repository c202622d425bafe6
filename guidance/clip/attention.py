"""Frozen image towers rearranged for speed: same parameters, same result.

`torch.nn.MultiheadAttention` leaves its fused path when gradients flow through frozen weights and
then multiplies each token by a copied weight on its own; on a CPU that costs more than everything
else in a ViT block. Here the projections are one ``[B·T, D]`` product each. The patch embedding, a
convolution whose gradient is slow on a CPU, is one matrix product too, and batch norms disappear
into the convolutions before them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLAIN_TOKENS = 256  # scores of that many tokens are no larger than the other activations


class FoldedAttention(nn.Module):
    """Self-attention that takes over the parameters of `attention`; call it the same way."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.num_heads = attention.num_heads
        self.batch_first = attention.batch_first
        self.in_proj_weight = attention.in_proj_weight  # [3D, D]
        self.in_proj_bias = attention.in_proj_bias  # [3D]
        self.out_proj = attention.out_proj

    def forward(
        self,
        query: Tensor,  # [B, T, D], or [T, B, D] if not batch_first
        key: Tensor,
        value: Tensor,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Attend over the tokens of each image; `key` and `value` must be `query`."""
        x = query if self.batch_first else query.transpose(0, 1)
        batch, tokens, width = x.shape
        qkv = F.linear(x.reshape(batch * tokens, width), self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        if attn_mask is not None and attn_mask.ndim == 3:  # [B·heads, T, T]
            attn_mask = attn_mask.reshape(batch, self.num_heads, tokens, tokens)
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = ~attn_mask  # True forbids there and allows here
        out = _attend(q, k, v, attn_mask)  # [B, h, T, d]
        out = self.out_proj(out.transpose(1, 2).reshape(batch * tokens, width))
        out = out.view(batch, tokens, width)
        return (out if self.batch_first else out.transpose(0, 1)), None


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Return the attention of ``[B, h, T, d]``.

    For few tokens on a CPU two plain products are several times faster, backward above all, than
    the tiled algorithm, which exists to save memory where the ``[T, T]`` scores are large.
    """
    if q.device.type != "cpu" or q.shape[-2] > PLAIN_TOKENS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        )
    return scores.softmax(dim=-1) @ v


class FoldedPatches(nn.Module):
    """The patch embedding of a vision transformer as one product; takes over `conv`'s weights."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.kernel_size = self.stride = conv.kernel_size
        self.weight = conv.weight  # [D, C, p, q]
        self.bias = conv.bias

    def forward(self, images: Tensor) -> Tensor:
        """Embed ``[N, C, H, W]`` → ``[N, D, H/p, W/q]``; what does not fill a patch is left out."""
        p, q = self.kernel_size
        rows, columns = images.shape[-2] // p, images.shape[-1] // q
        x = images[..., : rows * p, : columns * q].unflatten(-1, (columns, q))
        x = x.unflatten(-3, (rows, p)).permute(0, 2, 4, 1, 3, 5)  # [N, H/p, W/q, C, p, q]
        out = F.linear(x.flatten(3).flatten(0, 2), self.weight.flatten(1), self.bias)
        return out.view(len(images), rows, columns, -1).permute(0, 3, 1, 2)


def fold_patches(tower: nn.Module) -> int:
    """Replace the patch embeddings of a vision transformer in place; return how many."""
    found = [
        (module, name, child)
        for module in tower.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Conv2d)
        and child.kernel_size == child.stride
        and min(child.kernel_size) >= 8  # smaller ones are downsampling layers of other towers
        and (child.padding, child.dilation, child.groups)
        in (((0, 0), (1, 1), 1), ("valid", (1, 1), 1))
    ]
    for module, name, child in found:
        setattr(module, name, FoldedPatches(child))
    return len(found)


def fold_attention(model: nn.Module) -> int:
    """Replace the plain self-attentions of open_clip's ViT blocks in place; return how many."""
    from open_clip.transformer import ResidualAttentionBlock

    count = 0
    for block in model.modules():
        if not isinstance(block, ResidualAttentionBlock) or hasattr(block, "ln_1_kv"):
            continue
        attention = block.attn
        plain = (
            isinstance(attention, nn.MultiheadAttention)
            and attention._qkv_same_embed_dim
            and attention.bias_k is None
            and not attention.add_zero_attn
            and attention.dropout == 0
        )
        if plain:
            block.attn = FoldedAttention(attention)
            count += 1
    return count


def fuse_batchnorm(model: nn.Module) -> int:
    """Fold each frozen batch norm into the convolution listed right before it; return how many.

    The order of listing is the order of execution in the towers of open_clip that have batch norms
    (ResNet, EfficientNet, MobileCLIP's); tests compare the features.
    """
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    count = 0
    for module in model.modules():
        previous = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and isinstance(previous, tuple):
                conv_name, conv = previous
                if conv.out_channels == child.num_features:
                    setattr(module, conv_name, fuse_conv_bn_eval(conv, child))
                    # timm's BatchNormAct2d carries the activation
                    setattr(module, name, getattr(child, "act", nn.Identity()))
                    count += 1
            previous = (name, child) if isinstance(child, nn.Conv2d) else None
    return count


def disable_inplace(model: nn.Module) -> None:
    """Switch off in-place activations, which would overwrite what a fused backward needs."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[bad-argument-type]


def freeze(model: nn.Module) -> nn.Module:
    """Set `model` to evaluation mode and its parameters to need no gradient."""
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


__all__ = [
    "FoldedAttention",
    "FoldedPatches",
    "disable_inplace",
    "fold_attention",
    "fold_patches",
    "freeze",
    "fuse_batchnorm",
]
