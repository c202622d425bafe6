"""How a transformer of codes is built, as its JSON says; torch is not imported."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from guidance.conventions import check_count
from guidance.errors import InputError, unknown

KINDS = ("full", "row", "column", "convolutional")  # of attention
TOLD = 2  # positions before the picture: of a text's embedding, and of a picture's


@dataclass(frozen=True, kw_only=True)
class DalleConfig:
    """How a transformer is built.

    Attributes:
        rows, columns: of codes in a picture.
        codes: size of the vocabulary.
        code_width: numbers that stand for a code, within and without; fewer than `width` save
            weights and time.
        width: numbers that a position has.
        heads: of the attention, which share `width`.
        attention: what each layer's image positions see, see `guidance.models.dalle.attention`.
        kernel: side of convolutional attention, odd.
        embedding: length of the embeddings that tell what a picture shows.

    Raises:
        InputError: a value is not allowed.
    """

    rows: int
    columns: int
    codes: int
    code_width: int
    width: int
    heads: int
    attention: tuple[str, ...]
    kernel: int = 11
    embedding: int = 384

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            check_count(name, getattr(self, name), 1, 256)
        check_count("codes", self.codes, 2, 2**20)
        check_count("code_width", self.code_width, 1, 16384)
        check_count("width", self.width, 1, 16384)
        check_count("heads", self.heads, 1, 256)
        check_count("embedding", self.embedding, 1, 16384)
        check_count("kernel", self.kernel, 1, 255)
        if self.width % self.heads:
            raise InputError(
                f"heads must divide the width of {self.width} but there are {self.heads}"
            )
        if not self.kernel % 2:
            raise InputError(f"kernel must be odd but is {self.kernel}")
        if not 1 <= len(self.attention) <= 256:
            raise InputError(f"attention must name 1 to 256 layers but names {len(self.attention)}")
        for kind in self.attention:
            if kind not in KINDS:
                raise InputError(unknown("attention", kind, KINDS))

    @property
    def positions(self) -> int:
        """Codes in a picture."""
        return self.rows * self.columns

    @property
    def told(self) -> int:
        """Positions before the picture."""
        return TOLD

    def table(self) -> dict[str, Any]:
        """Return the config as JSON has it."""
        return {**asdict(self), "attention": list(self.attention)}
