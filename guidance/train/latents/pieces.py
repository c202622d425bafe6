"""The finished pieces of a preparation, beside its file: one that was stopped goes on with them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from guidance.errors import FileError, InputError, line
from guidance.files.writing import atomic, make_folder, remove_leftovers, remove_whole, write


class Pieces:
    """A folder of tensors, a file for each piece, written one by one and joined in the end.

    Args:
        out: file of the whole preparation; the folder is called after it.
        identity: of what is prepared and how.

    Raises:
        InputError: the folder holds pieces of something else.
        FileError: it cannot be written.
    """

    def __init__(self, out: Path, identity: str):
        self.folder = make_folder(out.with_name(f"{out.name}.pieces"))
        remove_leftovers(self.folder)
        known = self.folder / "identity"
        if known.is_file() and known.read_text(encoding="utf-8") != identity:
            raise InputError(
                f"out: {self.folder} holds pieces of other pictures or options; remove it, or name "
                "another file"
            )
        write(known, identity)

    def missing(self, count: int) -> list[int]:
        """Return which of `count` pieces have not been made."""
        return [number for number in range(count) if not self._path(number).is_file()]

    def add(self, number: int, content: Mapping[str, Tensor]) -> None:
        """Write a piece: tensors of equally many rows, at least one."""
        with atomic(self._path(number)) as path:
            save_file({k: v.contiguous() for k, v in content.items()}, path)

    def joined(self, count: int) -> dict[str, Tensor]:
        """Return the tensors of all `count` pieces, one after another.

        Raises:
            FileError: a piece is damaged.
        """
        with ExitStack() as stack:
            files = []
            for path in map(self._path, range(count)):
                try:
                    files.append(stack.enter_context(safe_open(path, "pt")))
                except Exception as error:  # safetensors' errors share no base with Python's
                    raise FileError(f"{path} is damaged, remove it: {line(error)}") from None
            # a piece of which no picture could be read has no rows, and of some tensors no shape
            files = [f for f in files if f.get_slice("rows").get_shape() != [0]]
            names = files[0].keys() if files else ()
            return {name: torch.cat([f.get_tensor(name) for f in files]) for name in names}

    def remove(self) -> None:
        """Remove the folder."""
        remove_whole(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}.safetensors"
