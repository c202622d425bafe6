"""A file that torch wrote before it wrote zips → what is in it; none of its code is run.

It is a row of pickles, a mark, a version, facts of the machine, the object and the keys of its
storages, and then the storages' values. torch's own restricted unpickler reads such files too, but
none that holds a module.
"""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from guidance.pretrained.torchscript import DTYPES, Call, Careful, Storage, tensor_of, view_of

MARK = 0x1950A86A20F9469CFC6C


class _Unpickler(Careful):
    """Knows tensors and the classes that are told; anything else ends it."""

    def __init__(self, file: BinaryIO, known: Mapping[str, Any]):
        super().__init__(file)
        self.known = known
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" in self.known:
            return self.known[f"{module}.{name}"]
        if module == "torch" and name in DTYPES:
            return Call(lambda: DTYPES[name])
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return Call(view_of)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return Call(lambda data, *_: data)
        if (module, name) == ("collections", "OrderedDict"):
            return Call(lambda *_: {})
        if (module, name) in (("torch", "device"), ("__builtin__", "set"), ("builtins", "set")):
            return Call(lambda *_: None)
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]  # a class; its source, which follows, is of no concern
        kind, dtype, key, _, count, part = pid
        if kind != "storage" or not isinstance(key, str) or not isinstance(count, int) or part:
            raise pickle.UnpicklingError("a storage is damaged")
        return self.storages.setdefault(key, Storage(key, dtype(), count))


def read_older(path: Path, known: Mapping[str, Any]) -> tuple[Any, Callable[[str, Any], Tensor]]:
    """Return the object of a file, with tensors as `View`, and what makes tensors of these.

    Args:
        path: of the file.
        known: class that the object may name, ``"package.file.Class"`` → what stands for it.

    Raises:
        ValueError: it is damaged, or claims more than the file holds.
        Exception: `pickle` raises a dozen types for damaged files, and its own for other classes.
    """
    with path.open("rb") as file:
        mark, version, _ = (_Unpickler(file, {}).load() for _ in range(3))
        if (mark, version) != (MARK, 1001):
            raise ValueError("it is no file of torch")
        reader = _Unpickler(file, known)
        content = reader.load()
        keys = _Unpickler(file, {}).load()
        if not isinstance(keys, list) or sorted(keys) != sorted(reader.storages):
            raise ValueError("it lacks a part of its values")
        read = {key: _values(file, reader.storages[key]) for key in keys}
    return content, lambda name, view: tensor_of(name, view, read)


def _values(file: BinaryIO, storage: Storage) -> Tensor:
    (count,) = struct.unpack("<q", file.read(8))
    size = count * torch.empty(0, dtype=storage.dtype).element_size()
    left = os.fstat(file.fileno()).st_size - file.tell()
    if count != storage.count or not 0 <= size <= left:
        raise ValueError("it is cut short: its download did not finish")
    content = bytearray(file.read(size))
    return (
        torch.frombuffer(content, dtype=storage.dtype)
        if count
        else torch.empty(0, dtype=storage.dtype)
    )
