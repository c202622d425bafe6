"""The transformer of DALL·E mini: text → states, states and codes so far → the next code.

Dayma et al. 2021, "DALL·E Mini": an encoder and a decoder as in BART (Lewis et al. 2020,
arXiv:1910.13461), with norms before and behind each attention (NormFormer, Shleifer et al. 2021,
arXiv:2110.09456) and gated units (Shazeer 2020, arXiv:2002.05202). No linear layer has a bias.
Modules have the names of min-dalle's checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from guidance.models.dalle.attention import Memory

HEAD = 64  # channels of a head, in both models


@dataclass(frozen=True)
class Sizes:
    """What an encoder or a decoder has.

    Attributes:
        rows: of its embedding: subwords, or codes and the mark of the beginning.
        positions: in a text, or in a picture.
        width: channels.
        gated: channels inside a gated unit.
        layers: of attention.
    """

    rows: int
    positions: int
    width: int
    gated: int
    layers: int

    @property
    def heads(self) -> int:
        """Heads of each attention."""
        return self.width // HEAD


class Encoder(nn.Module):
    """Reads a text."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.embed_tokens = nn.Embedding(sizes.rows, sizes.width)
        self.embed_positions = nn.Embedding(sizes.positions, sizes.width)
        self.layers = nn.ModuleList(_EncoderLayer(sizes) for _ in range(sizes.layers))
        self.layernorm_embedding = nn.LayerNorm(sizes.width)
        self.final_ln = nn.LayerNorm(sizes.width)

    def forward(self, numbers: Tensor, seen: Tensor) -> Tensor:
        """Return the states ``[N, T, D]`` of subwords.

        Args:
            numbers: of the subwords, ``[N, T]``.
            seen: where there is one, ``[N, T]``.
        """
        places = self.embed_positions.weight[: numbers.shape[1]]
        x = self.layernorm_embedding(self.embed_tokens(numbers) + places)
        mask = seen[:, None, None]
        for layer in self.layers:
            x = layer(x, mask)
        return self.final_ln(x)


class Decoder(nn.Module):
    """Writes codes one after another, with a memory of those before."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.embed_tokens = nn.Embedding(sizes.rows, sizes.width)
        self.embed_positions = nn.Embedding(sizes.positions, sizes.width)
        self.layers = nn.ModuleList(_DecoderLayer(sizes) for _ in range(sizes.layers))
        self.layernorm_embedding = nn.LayerNorm(sizes.width)
        self.final_ln = nn.LayerNorm(sizes.width)
        self.lm_head = nn.Linear(sizes.width, sizes.rows, bias=False)

    def told(self, states: Tensor) -> list[Memory]:
        """Return keys and values of the encoder's states ``[N, T, D]``, for each layer."""
        layers = cast("list[_DecoderLayer]", self.layers)
        return [Memory(*layer.encoder_attn.sources(states)) for layer in layers]

    def memories(self, count: int) -> list[Memory]:
        """Return room for the keys and values of `count` pictures, for each layer."""
        sizes, like = self.sizes, self.lm_head.weight
        shape = (count, sizes.heads, sizes.positions, HEAD)
        return [Memory(like.new_empty(shape), like.new_empty(shape)) for _ in self.layers]

    def step(
        self, codes: Tensor, place: int, told: list[Memory], seen: Tensor, written: list[Memory]
    ) -> Tensor:
        """Return the logits ``[N, rows]`` of position `place`, and remember it.

        Args:
            codes: ``[N]``, of the position before.
            place: number of the position, from 0.
            told: of the encoder's states.
            seen: which of these there are, ``[N, T]``.
            written: of the positions before.
        """
        x = self.embed_tokens(codes) + self.embed_positions.weight[place]
        x, mask = self.layernorm_embedding(x)[:, None], seen[:, None, None]
        for layer, text, before in zip(self.layers, told, written, strict=True):
            x = layer(x, text, mask, before)
        return self.lm_head(self.final_ln(x[:, 0]))


class _Attention(nn.Module):
    def __init__(self, sizes: Sizes):
        super().__init__()
        self.heads, width = sizes.heads, sizes.width
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.q_proj = nn.Linear(width, width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)

    def sources(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and the values of ``[N, L, D]``: ``[N, heads, L, D / heads]``."""
        return self.cut(self.k_proj(x)), self.cut(self.v_proj(x))

    def cut(self, x: Tensor) -> Tensor:
        """Return ``[N, L, D]`` as ``[N, heads, L, D / heads]``."""
        return x.unflatten(-1, (self.heads, HEAD)).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        out = F.scaled_dot_product_attention(self.cut(self.q_proj(x)), keys, values, mask)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class _Gated(nn.Module):
    def __init__(self, sizes: Sizes):
        super().__init__()
        self.ln0, self.ln1 = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.gated)
        self.fc0 = nn.Linear(sizes.width, sizes.gated, bias=False)
        self.fc1 = nn.Linear(sizes.width, sizes.gated, bias=False)
        self.fc2 = nn.Linear(sizes.gated, sizes.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ln0(x)
        return self.fc2(self.ln1(F.gelu(self.fc0(x)) * self.fc1(x)))


class _Layer(nn.Module):
    """What layers of the encoder and the decoder have."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.pre_self_attn_layer_norm = nn.LayerNorm(sizes.width)
        self.self_attn = _Attention(sizes)
        self.self_attn_layer_norm = nn.LayerNorm(sizes.width)
        self.glu = _Gated(sizes)


class _EncoderLayer(_Layer):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        own, y = self.self_attn, self.pre_self_attn_layer_norm(x)
        keys, values = own.sources(y)
        x = x + self.self_attn_layer_norm(own(y, keys, values, mask))
        return x + self.glu(x)


class _DecoderLayer(_Layer):
    def __init__(self, sizes: Sizes):
        super().__init__(sizes)
        self.pre_encoder_attn_layer_norm = nn.LayerNorm(sizes.width)
        self.encoder_attn = _Attention(sizes)
        self.encoder_attn_layer_norm = nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor, text: Memory, mask: Tensor, before: Memory) -> Tensor:
        own, y = self.self_attn, self.pre_self_attn_layer_norm(x)
        keys, values = before.add(*own.sources(y))
        x = x + self.self_attn_layer_norm(own(y, keys, values, None))
        y = self.pre_encoder_attn_layer_norm(x)
        y = self.encoder_attn(y, text.keys, text.values, mask)
        x = x + self.encoder_attn_layer_norm(y)
        return x + self.glu(x)
