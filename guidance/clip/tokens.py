"""Images → patch embeddings ``[N, D, h, w]``, texts → word embeddings ``[P, L, D]``.

A CLIP tower pools its tokens into one vector and projects that. Here the projection is used for
each token alone, which puts every patch into the space of the texts without any training: as
MaskCLIP does (Zhou et al. 2022, arXiv:2112.01071, section 3.1), the last attention of a vision
transformer lets each token see itself only, so that what remains of it is the path of the values;
an attention pool over one token is its value path too; and the head of a convolutional tower
becomes a 1 × 1 convolution (DenseCLIP, Rao et al. 2022, arXiv:2112.01518, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.clip.model import ClipModel
from guidance.clip.overflow import tokenize
from guidance.errors import ModelError


class TokenTower:
    """An image tower cut in two: before and after its last layer that mixes positions.

    ``pool(features(images))`` is the embedding the tower itself gives.

    Args:
        model: a CLIP whose image tower is open_clip's vision transformer or ResNet, or timm's.

    Raises:
        ModelError: the tower is of another kind.
    """

    def __init__(self, model: ClipModel):
        self.model = model
        self._tower = _tower(model)

    def features(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return the tokens of ``[N, 3, H, W]`` images in [0, 1] and their grid.

        Returns:
            ``[N, T, C]`` in the precision of the model, differentiable in the images, and the
            height h and width w of the grid; the last ``h · w`` of the T tokens are patches, row
            by row, the others belong to the image as a whole.
        """
        model = self.model
        x = model.preprocess(images.to(model.device)).to(model.dtype)
        return self._tower.features(x)

    def pool(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the embeddings of the images, ``[N, D]`` float32, unit length."""
        return F.normalize(self._tower.pool(tokens, grid).float(), dim=-1)

    def patches(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the embeddings of the patches, ``[N, D, h, w]`` float32, unit length along D.

        Raises:
            ModelError: the head of the tower needs all the patches at once.
        """
        height, width = grid
        each = F.normalize(self._tower.each(tokens, grid).float(), dim=-1)
        return each.view(len(tokens), height, width, -1).permute(0, 3, 1, 2)


def patch_embeddings(model: ClipModel, images: Tensor) -> Tensor:
    """Embed each patch of `images` in the space of the texts.

    Args:
        images: ``[N, 3, H, W]`` in [0, 1]; resized by the model's preprocessing, which may crop.

    Returns:
        ``[N, D, h, w]`` float32, unit length along D, differentiable in `images`.

    Raises:
        ModelError: the image tower gives no patches.
    """
    tower = TokenTower(model)
    return tower.patches(*tower.features(images))


@torch.no_grad()
def word_embeddings(model: ClipModel, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Project every token of `texts`, where a CLIP uses the one at the end of the text only.

    Returns:
        ``[P, L, D]`` float32, unit length, and a mask ``[P, L]`` that is true for the tokens from
        the first of the text to its end mark; the start mark and the padding are left out.

    Raises:
        ModelError: the text tower is not one of open_clip's own that pool the end mark.
    """
    network = model.network
    tower = getattr(network, "text", network)
    norm, projection = getattr(tower, "ln_final", None), getattr(tower, "text_projection", None)
    pooled = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    if norm is None or pooled != "argmax" or getattr(tower, "cls_emb", None) is not None:
        raise ModelError(f"the text tower of {model.name} gives no embeddings of words")
    model.encode_text(texts)  # checks them, and warns of what is cut
    tokens = tokenize(model.tokenizer, texts).to(model.device)
    kept: list[Tensor] = []
    hook = norm.register_forward_hook(lambda module, given, out: kept.append(out))
    try:
        network.encode_text(tokens)
    finally:
        hook.remove()
    words = kept[0]
    if isinstance(projection, nn.Module):
        words = projection(words)
    elif projection is not None:
        words = words @ projection
    place = torch.arange(tokens.shape[1], device=tokens.device)
    mask = (place > 0) & (place <= tokens.argmax(dim=1, keepdim=True))  # the end mark is highest
    return F.normalize(words.float(), dim=-1), mask


def _tower(model: ClipModel) -> _VisionTransformer | _ResNet | _Timm:
    visual = model.network.visual
    if hasattr(visual, "transformer") and hasattr(visual, "_embeds") and hasattr(visual, "_pool"):
        return _VisionTransformer(visual)
    if hasattr(visual, "attnpool") and hasattr(visual, "layer4"):
        return _ResNet(visual)
    if hasattr(visual, "trunk") and hasattr(visual.trunk, "forward_head"):
        return _Timm(visual)
    raise ModelError(
        f"the image tower of {model.name}, a {type(visual).__name__}, gives no patches; "
        "windows and gradients work with any tower"
    )


def _alone(tokens: Tensor, count: int) -> Tensor:
    """Return each of the last `count` tokens as a sequence of its own, ``[N · count, 2, C]``.

    It stands there twice, so that heads that read the first token and heads that average those
    after it both give its own embedding; to attention it is one token.
    """
    return tokens[:, -count:].flatten(0, 1)[:, None].expand(-1, 2, -1)


class _VisionTransformer:
    """open_clip's: the cut is before the last block."""

    def __init__(self, visual: Any):
        self.visual = visual
        self.last = visual.transformer.resblocks[-1]

    def features(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        visual = self.visual
        grid = (x.shape[-2] // visual.patch_size[0], x.shape[-1] // visual.patch_size[1])
        x = self._ordered(visual._embeds(x))
        for block in visual.transformer.resblocks[:-1]:
            x = block(x)
        return self._ordered(x), grid

    def pool(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return self._project(self._ordered(self.last(self._ordered(tokens))))

    def each(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        count = tokens.shape[1]
        others = ~torch.eye(count, dtype=torch.bool, device=tokens.device)
        mask = torch.zeros(count, count, dtype=tokens.dtype, device=tokens.device)
        mask = mask.masked_fill(others, -torch.inf)
        out = self._ordered(self.last(self._ordered(tokens), attn_mask=mask))
        return self._project(_alone(out, grid[0] * grid[1]))

    def _project(self, tokens: Tensor) -> Tensor:
        pooled, _ = self.visual._pool(tokens)
        return pooled if self.visual.proj is None else pooled @ self.visual.proj

    def _ordered(self, x: Tensor) -> Tensor:
        """Swap images and tokens where the blocks want the tokens first."""
        return x if self.visual.transformer.batch_first else x.transpose(0, 1).contiguous()


class _ResNet:
    """CLIP's own ResNet: the cut is before its attention pool."""

    def __init__(self, visual: Any):
        self.visual = visual

    def features(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        visual = self.visual
        x = visual.stem(x)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        return x.flatten(2).transpose(1, 2), (x.shape[-2], x.shape[-1])

    def pool(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return self.visual.attnpool(tokens.transpose(1, 2).unflatten(2, grid))

    def each(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        pool = self.visual.attnpool
        x = tokens + pool.positional_embedding[1:].to(tokens.dtype)
        return pool.c_proj(pool.v_proj(x)).flatten(0, 1)


class _Timm:
    """A timm network with open_clip's head: the cut is before timm's pooling."""

    def __init__(self, visual: Any):
        self.trunk = visual.trunk
        self.head = visual.head
        self.last = getattr(self.trunk, "output_fmt", "NCHW") == "NHWC"  # where channels are
        self.prefix = getattr(self.trunk, "num_prefix_tokens", 0)  # tokens before the patches
        self.flat = False  # whether the trunk gives a sequence; known after `features`

    def features(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        size = x.shape[-2:]
        x = self.trunk.forward_features(x)
        self.flat = x.ndim == 3
        if self.flat:
            grid = self._grid(*size)
            if grid is None or grid[0] * grid[1] + self.prefix != x.shape[1]:
                raise ModelError(
                    f"how the {x.shape[1]} tokens of this {type(self.trunk).__name__} lie in the "
                    "picture is not known; windows and gradients work with any tower"
                )
            return x, grid
        x = x if self.last else x.permute(0, 2, 3, 1)
        return x.flatten(1, 2), (x.shape[1], x.shape[2])

    def _grid(self, height: int, width: int) -> tuple[int, int] | None:
        """Return rows and columns of the patches of a picture.

        What its patch embedding says: patches of a hybrid one are of its convolutions' output, not
        of the picture.
        """
        embed = getattr(self.trunk, "patch_embed", None)
        if hasattr(embed, "dynamic_feat_size"):
            return tuple(embed.dynamic_feat_size((height, width)))
        p, q = getattr(embed, "patch_size", (0, 0))
        return (height // p, width // q) if p and q else None

    def pool(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        if not self.flat:
            tokens = tokens.unflatten(1, grid)
            tokens = tokens if self.last else tokens.permute(0, 3, 1, 2)
        return self.head(self.trunk.forward_head(tokens))

    def each(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        if hasattr(self.head, "pool"):  # its position embeddings are made for the whole grid
            raise ModelError(
                "the attention pool of this image tower needs all patches at once; "
                "windows and gradients work with any tower"
            )
        if not self.flat:
            return self.pool(tokens.flatten(0, 1)[:, None], (1, 1))
        alone = _alone(tokens, grid[0] * grid[1])[:, :1].expand(-1, 1 + self.prefix, -1)
        return self.pool(alone, (1, 1))
