"""Our transformer as a `guidance.models.writer.Writer`: prompts → logits, code by code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guidance.clip.model import PRECISIONS
from guidance.errors import InputError
from guidance.models.conditions import Condition, TextReader
from guidance.models.dalle.transformer import Transformer, check_rows


class DalleWriting:
    """Pictures that are being written; see `guidance.models.writer.Writing`.

    Args:
        network: writes them.
        vector: conditions ``[N, T · D]``.
        dtype: of the arithmetic; that of the memory is float32.
    """

    def __init__(self, network: Transformer, vector: Tensor, dtype: torch.dtype):
        self.network, self.dtype = network, dtype
        self._vector, self._place = vector, -1  # of the code that was written last
        self._memories = network.memories(len(vector))

    @torch.no_grad()
    def next(self, codes: Tensor | None) -> Tensor:
        """Return the logits of the next position; see `Writing.next`."""
        check_rows(codes, len(self._vector), self._place >= 0)
        network = self.network
        if self._place == network.config.positions - 1:
            raise InputError(f"pictures of {network.config.positions} codes are complete")
        kind, fast = self._vector.device.type, self.dtype != torch.float32
        with torch.autocast(kind, self.dtype if fast else None, enabled=fast):
            if codes is None:
                x = network.tell(self._vector)
            else:
                x = network.enter_codes(codes.to(self._vector.device)[:, None], self._place)
            self._place += 1
            return network.step(x, self._memories).float()

    def keep(self, rows: Tensor) -> None:
        """Go on with some pictures; see `Writing.keep`."""
        rows = rows.to(self._vector.device)
        self._vector = self._vector[rows]
        for memory in self._memories:
            memory.keep(rows)


class DalleWriter:
    """A transformer and what reads its prompts.

    Args:
        network: frozen, placed on a device.
        reader: prompts → conditions.
        name: shown to people.
        precision: arithmetic: "fp32", "bf16" or "fp16".
    """

    def __init__(
        self, network: Transformer, reader: TextReader, *, name: str, precision: str = "fp32"
    ):
        self.network, self.reader, self.name = network.eval().requires_grad_(False), reader, name
        self.dtype = PRECISIONS[precision]
        config = network.config
        self.grid, self.codes = (config.rows, config.columns), config.codes
        self._read: dict[str, Condition] = {}

    def begin(self, prompts: Sequence[str]) -> DalleWriting:
        """Return pictures of which nothing is written; see `Writer.begin`."""
        if isinstance(prompts, str) or not prompts:
            raise InputError("prompts must be a list with at least one text")
        for text in dict.fromkeys(prompts):
            if text not in self._read:
                self._read[text] = self.reader.read([text])[0] if text else self.reader.empty()
        rows = [self._read[text].tensors["class_labels"] for text in prompts]
        return DalleWriting(self.network, torch.cat(rows).to(self.network.places), self.dtype)

    def memory(self, pictures: int) -> int:
        """Return the bytes that so many pictures need; see `Writer.memory`."""
        config = self.network.config
        cached = 2 * len(config.attention) * (config.told + config.positions) * config.width
        # logits exist a few times: in the network's arithmetic, mixed, sorted, as chances
        return 4 * pictures * (cached + 8 * config.codes)
