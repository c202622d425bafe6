"""A file of ``torch.save(module)`` → its tensors, by names; none of its author's code is run.

Such a file is a pickle of the module and of all modules in it, and reading it as Python does would
run whatever it names. Here torch's restricted unpickler reads it, or that of
`guidance.pretrained.older`, which know tensors and nothing else; the classes that the caller lists
become objects that keep what they are told, and a file that names anything beyond is refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guidance.errors import FileError, ModelError
from guidance.pretrained.foreign import checked_head, reason
from guidance.pretrained.older import read_older
from guidance.pretrained.torchscript import View

MOST_DEPTH = 64  # of modules in modules
TORCH = (
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.linear.Identity",
    "torch.nn.modules.pooling.MaxPool2d",
    "torch.nn.modules.upsampling.Upsample",
)


class _Kept:
    """What stands for a module: it has attributes, and no behaviour."""

    def __new__(cls, *args: Any) -> _Kept:
        kept = super().__new__(cls)
        kept.attributes = {}
        return kept

    attributes: Mapping[Any, Any]

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


def read_module(path: str | Path, classes: Sequence[str]) -> dict[str, Tensor]:
    """Return the parameters and buffers of a pickled module, on the CPU, named as a state dict is.

    Args:
        path: a file of ``torch.save(module, path)``, a zip or, of torch before 1.6, none.
        classes: the author's classes that it may name, ``"package.file.Class"``; torch's own in
            `TORCH` may be named as well.

    Raises:
        FileError: there is no such file.
        ModelError: it is damaged, names another class or a function, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"the checkpoint {path} does not exist")
    checked_head(path)
    kinds = {name: _stand_in(name) for name in (*classes, *TORCH)}
    read: Callable[[str, Any], Tensor] = lambda _, value: value  # noqa: E731
    try:
        if zipfile.is_zipfile(path):
            # by names of their own: torch before 2.6 takes no others
            with torch.serialization.safe_globals(list(kinds.values())):
                content = torch.load(str(path), map_location="cpu", weights_only=True)
        else:
            content, read = read_older(path, kinds)
    except Exception as error:  # torch and pickle raise a dozen types for damaged files
        raise ModelError(
            f"{path} cannot be read as weights ({reason(error)}); only tensors and the classes "
            f"{', '.join(name.rpartition('.')[2] for name in classes)} are read from such a file"
        ) from error
    if not isinstance(content, _Kept):
        raise ModelError(f"{path} holds no module but a {type(content).__name__}")
    try:
        state = {name: read(name, value).detach() for name, value in _tensors(content)}
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}") from None
    if not state:
        raise ModelError(f"{path} holds a module without tensors")
    return state


def _stand_in(name: str) -> type:
    module, _, own = name.rpartition(".")
    return type(own, (_Kept,), {"__module__": module})


def _tensors(root: _Kept) -> Iterator[tuple[str, Tensor | View]]:
    """Yield the tensors of the tree below `root` with their dotted names."""
    waiting, seen = [("", root, 0)], {id(root)}
    while waiting:
        prefix, module, depth = waiting.pop()
        for kind in ("_parameters", "_buffers", "_modules"):
            held = module.attributes.get(kind)
            for name, value in held.items() if isinstance(held, Mapping) else ():
                if isinstance(value, Tensor | View):
                    yield f"{prefix}{name}", value
                elif isinstance(value, _Kept) and id(value) not in seen and depth < MOST_DEPTH:
                    seen.add(id(value))
                    waiting.append((f"{prefix}{name}.", value, depth + 1))
