"""A TorchScript archive, as OpenAI publishes CLIP's weights → its tensors; nothing in it is run.

The archive is a zip of a program (``code/``), of a pickle of the module tree (``data.pkl``) and of
one file a storage (``data/``). `torch.jit.load` would hand the program to an interpreter. Here the
pickle is read by an unpickler that knows tensors and makes everything else inert, and the tensors
get the names that the tree gives them, which are those of a state dict.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

MOST_PICKLED = 16 * 2**20  # bytes of data.pkl; OpenAI's largest has 0.4 MB
MOST_DEPTH = 64  # of modules in modules

DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip


class Storage(NamedTuple):
    """The values of one or several tensors."""

    key: str
    dtype: torch.dtype
    count: int


class View(NamedTuple):
    """A tensor as the pickle describes it; nothing is allocated for it yet."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Module:
    """Any object of the archive: it has attributes, and no behaviour."""

    def __init__(self, *args: Any):
        self.attributes: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class Call:
    """What a function of a pickle becomes; it cannot be changed from there."""

    __slots__ = ("_make",)

    def __init__(self, make: Any):
        self._make = make

    def __call__(self, *args: Any) -> Any:
        """Do what stands for it."""
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has a state")


def view_of(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> View:
    """Return the tensor that a pickle describes."""
    plain = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= 16
    numbers = (offset, *size, *stride) if plain else ()
    if not isinstance(storage, Storage) or not plain or not all(
        isinstance(n, int) and 0 <= n < 2**48 for n in numbers
    ):  # fmt: skip
        raise pickle.UnpicklingError("a tensor's shape is damaged")
    return View(storage, offset, size, stride)


class Careful(pickle._Unpickler):
    """Python's own unpickler in Python: the one in C can be led to allocate gigabytes."""

    dispatch: ClassVar[dict[int, Any]] = {
        k: v for k, v in pickle._Unpickler.dispatch.items() if k != pickle.BYTEARRAY8[0]
    }


class _Unpickler(Careful):
    """Makes everything but tensors inert."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return Call(lambda: DTYPES[name])
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return Call(view_of)
        if (module, name) == ("collections", "OrderedDict"):
            return Call(lambda *_: {})
        if module == "torch.jit._pickle":  # build_intlist(x), restore_type_tag(x, type), ...
            return Call(lambda value=None, *_: value)
        return _Module

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(key, str) or not isinstance(count, int):
            raise pickle.UnpicklingError("a storage is damaged")
        return Storage(key, dtype(), count)


def is_archive(path: Path) -> bool:
    """Return whether the file is a zip as `torch.jit.save` writes it, not `torch.save`."""
    try:
        with zipfile.ZipFile(path) as file:
            return any(n.count("/") == 1 and n.endswith("/constants.pkl") for n in file.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def read_archive(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript archive by name, on the CPU.

    Raises:
        ValueError: It is damaged, or claims more than the file holds.
        Exception: `zipfile` and `pickle` raise a dozen types for damaged files.
    """
    with zipfile.ZipFile(path) as file:
        entries = {info.filename: info for info in file.infolist()}
        root = next(n for n in entries if n.count("/") == 1 and n.endswith("/constants.pkl"))
        root = root.removesuffix("constants.pkl")
        pickled = entries[root + "data.pkl"]
        if pickled.file_size > MOST_PICKLED:
            raise ValueError("its description is too large")
        views = dict(_named(_Unpickler(io.BytesIO(file.read(pickled))).load()))
        if not views:
            raise ValueError("it holds no named tensors")
        storages = {view.storage.key: view.storage for view in views.values()}
        _check_claims(entries, [f"{root}data/{key}" for key in storages], path.stat().st_size)
        read = {k: _read(file, entries[f"{root}data/{k}"], s) for k, s in storages.items()}
    return {name: tensor_of(name, view, read) for name, view in views.items()}


def _named(root: Any) -> Iterator[tuple[str, View]]:
    """Yield the tensors of the tree below `root` with their dotted names."""
    if not isinstance(root, _Module):
        raise ValueError("it holds no module")
    waiting, seen = [("", root, 0)], {id(root)}
    while waiting:
        prefix, module, depth = waiting.pop()
        for name, value in module.attributes.items():
            if isinstance(value, View):
                yield f"{prefix}{name}", value
            elif isinstance(value, _Module) and id(value) not in seen and depth < MOST_DEPTH:
                seen.add(id(value))
                waiting.append((f"{prefix}{name}.", value, depth + 1))


def _check_claims(entries: dict[str, zipfile.ZipInfo], names: list[str], size: int) -> None:
    """Raise unless the storages lie in the archive as they are, so that nothing is expanded."""
    if missing := [n for n in names if n not in entries]:
        raise ValueError(f"it lacks {missing[0]}")
    packed = [n for n in names if entries[n].compress_type != zipfile.ZIP_STORED]
    if packed or sum(entries[n].file_size for n in names) > size:
        raise ValueError("its tensors claim more room than the file has")


def _read(file: zipfile.ZipFile, entry: zipfile.ZipInfo, storage: Storage) -> Tensor:
    width = torch.empty(0, dtype=storage.dtype).element_size()
    if storage.count * width != entry.file_size:
        raise ValueError(f"{entry.filename} has {entry.file_size} bytes for {storage.count} values")
    if not storage.count:
        return torch.empty(0, dtype=storage.dtype)
    content = bytearray(entry.file_size)
    with cast(zipfile.ZipExtFile, file.open(entry)) as stream:  # compares the checksum at the end
        view, place = memoryview(content), 0
        while place < len(content) and (n := stream.readinto(view[place : place + 2**24])):
            place += n
        stream.read(1)
    if place < len(content):
        raise ValueError(f"{entry.filename} is cut short")
    return torch.frombuffer(content, dtype=storage.dtype)


def tensor_of(name: str, view: View, read: dict[str, Tensor]) -> Tensor:
    """Return a tensor out of the values that were read, by key of their storage.

    Raises:
        ValueError: it reaches beyond them.
    """
    content = read[view.storage.key]
    if view.storage.dtype != content.dtype or view.storage.count != len(content):
        raise ValueError(f"{name} reads its values in two ways")
    last = view.offset + sum((n - 1) * s for n, s in zip(view.size, view.stride, strict=True))
    if math.prod(view.size) and (math.prod(view.size) > len(content) or last >= len(content)):
        raise ValueError(f"{name} reaches beyond its values")
    return content.as_strided(view.size, view.stride, view.offset)
