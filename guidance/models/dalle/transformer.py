"""The transformer over what is told of a picture and its codes.

Ramesh et al. 2021, "Zero-Shot Text-to-Image Generation" (arXiv:2102.12092), section 2.2 and
appendix B: one causal transformer (GPT) whose positions are those of the text and then the codes of
the picture; text positions are learned, a code has an embedding of its row and one of its column.

Unlike there, the text is not modelled, and its positions hold embeddings of CLIP instead of words:
of the text, and of a picture of it. A network of a few million weights that has seen less than a
million captions would spend them on language and still know few words; CLIP has read more, knows
that words are alike, and makes the condition two positions long. Zeros stand for what is not given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.conventions import check_shape
from guidance.errors import InputError
from guidance.models.dalle.attention import Attention, Memory
from guidance.models.dalle.config import DalleConfig
from guidance.models.measured import Measured

SPREAD = 0.02  # of the weights at the start
NEAR = 0.5  # how far apart, in deviations of the codebook, codes are that start out alike


class Block(nn.Module):
    """A layer: attention and two linear maps, each on what is normalised and added to it."""

    def __init__(self, config: DalleConfig, kind: str):
        super().__init__()
        self.first, self.second = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = Attention(config, kind)
        self.widen = nn.Linear(config.width, 4 * config.width)
        self.narrow = nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Return positions ``[N, L, width]`` one layer on; see `Attention.forward`."""
        x = x + self.attention(self.first(x), memory)
        return x + self.narrow(F.gelu(self.widen(self.second(x)), approximate="tanh"))


class Transformer(Measured):
    """Conditions and codes → logits of the codes.

    Args:
        config: how it is built.
    """

    def __init__(self, config: DalleConfig):
        super().__init__({"text": config.embedding, "image": config.embedding})
        self.config = config
        width = config.width
        self.told = nn.ModuleList(
            nn.Linear(config.embedding, width, bias=False) for _ in range(config.told)
        )
        self.places = nn.Parameter(torch.zeros(config.told, width))
        self.rows = nn.Parameter(torch.zeros(config.rows, width))
        self.columns = nn.Parameter(torch.zeros(config.columns, width))
        self.table = nn.Parameter(torch.zeros(config.codes, config.code_width))
        self.enter = nn.Linear(config.code_width, width, bias=False)
        self.blocks = nn.ModuleList(Block(config, kind) for kind in config.attention)
        self.last = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.code_width, bias=False)
        self.frequent = nn.Parameter(torch.zeros(config.codes))
        self._start()

    def _start(self) -> None:
        """Draw the weights at random."""
        for name, value in self.named_parameters():
            if value.ndim > 1:
                # what adds to the residual stream adds the less, the more layers there are
                deep = name.endswith(("outward.weight", "narrow.weight"))
                layers = 2 * len(self.blocks) if deep else 1
                nn.init.normal_(value, std=SPREAD / math.sqrt(layers))
            elif name.endswith(".bias"):
                nn.init.zeros_(value)
        nn.init.normal_(self.table, std=1 / math.sqrt(self.config.code_width))

    @torch.no_grad()
    def take_codebook(self, vectors: Tensor) -> None:
        """Let codes that paint alike start out alike: random features of a codebook.

        Rahimi and Recht 2007, "Random Features for Large-Scale Kernel Machines", algorithm 1: the
        product of two rows of the table is then about a Gaussian of the distance of their codes.

        Args:
            vectors: ``[codes, C]``.

        Raises:
            InputError: not one for each code.
        """
        check_shape("vectors", vectors, [self.config.codes, "C"])
        flat = (vectors - vectors.mean(0)) / vectors.std(0).mean().clamp(min=1e-8)
        waves = torch.randn(vectors.shape[1], self.config.code_width) / NEAR
        shifts = 2 * math.pi * torch.rand(self.config.code_width)
        features = torch.cos(flat.float().cpu() @ waves + shifts)
        self.table.copy_(features * math.sqrt(2 / self.config.code_width))

    def forward(self, vector: Tensor, codes: Tensor) -> Tensor:
        """Return the logits of every code of pictures, each given those before it.

        Args:
            vector: conditions ``[N, T · D]``, of `Measured.vector`; zeros where nothing is told.
            codes: int64 ``[N, P]`` in raster order, the last of which is not looked at.

        Returns:
            ``[N, P, codes]``.

        Raises:
            InputError: shapes that do not fit.
        """
        check_shape("codes", codes, [len(vector), self.config.positions])
        x = torch.cat([self.tell(vector), self.enter_codes(codes[:, :-1], 0)], 1)
        for block in self.blocks:
            x = block(x)
        return self.logits(x[:, self.config.told - 1 :])

    def tell(self, vector: Tensor) -> Tensor:
        """Return the positions ``[N, T, width]`` of conditions ``[N, T · D]``."""
        check_shape("vector", vector, ["N", self.config.told * self.config.embedding])
        parts = vector.split(self.config.embedding, 1)
        rows = [told(part) for told, part in zip(self.told, parts, strict=True)]
        return torch.stack(rows, 1) + self.places

    def enter_codes(self, codes: Tensor, first: int) -> Tensor:
        """Return the positions ``[N, L, width]`` of codes ``[N, L]``, the first at `first`."""
        place = torch.arange(first, first + codes.shape[1], device=codes.device)
        row, column = place // self.config.columns, place % self.config.columns
        return self.enter(self.table[codes]) + self.rows[row] + self.columns[column]

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits ``[N, L, codes]`` of what follows positions ``[N, L, width]``."""
        return F.linear(self.leave(self.last(x)), self.table, self.frequent)

    def memories(self, count: int) -> list[Memory]:
        """Return an empty memory a layer for `count` pictures."""
        config = self.config
        shape = (count, config.heads, config.told + config.positions, config.width // config.heads)
        like = self.places
        return [Memory(like.new_zeros(shape), like.new_zeros(shape)) for _ in self.blocks]

    def step(self, x: Tensor, memories: Sequence[Memory]) -> Tensor:
        """Return the logits ``[N, codes]`` after the last of positions ``[N, L, width]``.

        Args:
            memories: of the positions before, to which these are added.
        """
        for block, memory in zip(self.blocks, memories, strict=True):
            x = block(x, memory)
        return self.logits(x[:, -1:])[:, 0]

    def count(self) -> int:
        """Return the number of weights."""
        return sum(p.numel() for p in self.parameters())


def check_rows(codes: Tensor | None, count: int, begun: bool) -> None:
    """Raise `InputError` unless codes ``[N]`` are given exactly where a picture has begun."""
    if begun != (codes is not None):
        said = "the codes that were chosen" if begun else "no codes at the beginning"
        raise InputError(f"next takes {said}")
    if codes is not None:
        check_shape("codes", codes, [count])
