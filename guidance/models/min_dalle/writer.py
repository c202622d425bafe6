"""DALL·E mini as a `guidance.models.writer.Writer`: prompts → logits, code by code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from guidance.errors import InputError
from guidance.models.dalle.transformer import check_rows
from guidance.models.min_dalle.network import Decoder, Encoder
from guidance.models.min_dalle.tokens import PADDING, Subwords


class MinDalleWriting:
    """Pictures that are being written; see `guidance.models.writer.Writing`.

    Args:
        decoder: writes them.
        states: of the prompts, ``[N, T, D]``.
        seen: where there are subwords, ``[N, T]``.
        codes: size of the vocabulary; the decoder may have room for a few that it never writes.
    """

    def __init__(self, decoder: Decoder, states: Tensor, seen: Tensor, codes: int):
        self.decoder, self.codes = decoder, codes
        self._told, self._seen = decoder.told(states), seen
        self._written, self._place = decoder.memories(len(states)), 0

    @torch.no_grad()
    def next(self, codes: Tensor | None) -> Tensor:
        """Return the logits of the next position; see `Writing.next`."""
        sizes, count = self.decoder.sizes, len(self._seen)
        check_rows(codes, count, self._place > 0)
        if self._place == sizes.positions:
            raise InputError(f"pictures of {sizes.positions} codes are complete")
        if codes is None:  # the last row of the embedding marks the beginning
            codes = torch.full((count,), sizes.rows - 1)
        codes = codes.to(self._seen.device)
        logits = self.decoder.step(codes, self._place, self._told, self._seen, self._written)
        self._place += 1
        return logits[:, : self.codes].float()

    def keep(self, rows: Tensor) -> None:
        """Go on with some pictures; see `Writing.keep`."""
        rows = rows.to(self._seen.device)
        self._seen = self._seen[rows]
        for memory in (*self._told, *self._written):
            memory.keep(rows)


class MinDalleWriter:
    """Encoder, decoder and vocabulary of one model.

    Args:
        encoder, decoder: frozen, placed on a device, in the arithmetic that they run in.
        subwords: reads prompts.
        name: shown to people.
        codes: size of the vocabulary of its codec.
    """

    def __init__(
        self, encoder: Encoder, decoder: Decoder, subwords: Subwords, *, name: str, codes: int
    ):
        self.encoder = encoder.eval().requires_grad_(False)
        self.decoder = decoder.eval().requires_grad_(False)
        self.subwords, self.name, self.codes = subwords, name, codes
        side = math.isqrt(decoder.sizes.positions)
        self.grid = side, side

    @torch.no_grad()
    def begin(self, prompts: Sequence[str]) -> MinDalleWriting:
        """Return pictures of which nothing is written; see `Writer.begin`.

        A prompt without ASCII letters is as none.
        """
        if isinstance(prompts, str) or not prompts:
            raise InputError("prompts must be a list with at least one text")
        texts = list(dict.fromkeys(prompts))
        device, most = self.decoder.lm_head.weight.device, self.encoder.sizes.positions
        read = [self.subwords(text, most) for text in texts]
        longest = max(map(len, read))
        numbers = torch.tensor([[*r, *[PADDING] * (longest - len(r))] for r in read]).to(device)
        seen = numbers != PADDING
        states = self.encoder(numbers, seen)
        rows = torch.tensor([texts.index(text) for text in prompts], device=device)
        return MinDalleWriting(self.decoder, states[rows], seen[rows], self.codes)

    def memory(self, pictures: int) -> int:
        """Return the bytes that so many pictures need; see `Writer.memory`."""
        sizes, each = self.decoder.sizes, self.decoder.lm_head.weight.element_size()
        places = sizes.positions + self.encoder.sizes.positions
        cached = 2 * sizes.layers * places * sizes.width * each
        # logits exist a few times: in the network's arithmetic, mixed, sorted, as chances
        return pictures * (cached + 4 * 8 * sizes.rows)
