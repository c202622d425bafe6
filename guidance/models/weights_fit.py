"""Whether a checkpoint's tensors fill a network: what is missing, unexpected or misshapen."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_SHOWN = 4  # entries named in a message

Shape = tuple[int, ...]


def faults(wanted: Mapping[str, Shape], state: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps `state` from filling a network, in words; empty if it fits.

    Args:
        wanted: the shape that each entry must have, by the names in the file.
        state: the tensors of the file.

    Returns:
        Phrases such as ``"lacks 2 entries (a, b)"``, to follow "it".
    """
    missing = [name for name in wanted if name not in state]
    surplus = [name for name in state if name not in wanted]
    shapes = [
        f"{name}: {_times(tuple(state[name].shape))}, not {_times(shape)}"
        for name, shape in wanted.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    kinds = (("lacks", "", missing), ("has", "unexpected ", surplus), ("has", "misshapen ", shapes))
    return [f"{verb} {_listed(what, names)}" for verb, what, names in kinds if names]


def _listed(what: str, names: list[str]) -> str:
    noun = "entry" if len(names) == 1 else "entries"
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} {what}{noun} ({', '.join(names[:_SHOWN])}{more})"


def _times(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a single number"
