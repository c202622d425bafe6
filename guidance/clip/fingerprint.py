"""An image tower → a digest that says whether two embeddings may be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

DIGITS = 32  # of a fingerprint, hexadecimal


def tower_digest(tower: nn.Module, without: tuple[str, ...] = ()) -> str:
    """Return the digest of a tower's weights and of what its layers are set to.

    What is named like one of `without` or lies below it is left out.

    Weights alone do not say what a tower computes: the same are used with GELU and with OpenAI's
    quick approximation of it, or with another number of heads.
    """

    def out(name: str) -> bool:
        return any(f"{name}.".startswith(f"{one}.") for one in without)

    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    for name, module in tower.named_modules():
        if out(name):
            continue
        settings = sorted(
            f"{key}={value!r}"
            for key, value in vars(module).items()
            if not key.startswith("_")
            and key != "training"
            and isinstance(value, (bool, int, float, str, tuple))
        )
        digest.update(f"{name}:{type(module).__qualname__}({', '.join(settings)})\n".encode())
    for name, value in sorted(tower.state_dict().items()):
        if out(name):
            continue
        digest.update(f"{name}:{list(value.shape)}:{value.dtype}\n".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def combine(parts: Iterable[object]) -> str:
    """Return one fingerprint of several things, by what they print as."""
    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    for part in parts:
        digest.update(f"{part!r}\n".encode())
    return digest.hexdigest()


def has_batchnorm(tower: nn.Module) -> bool:
    """Return whether the tower holds batch norms, which loading folds into other weights."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in tower.modules())


def _bytes(value: Tensor) -> memoryview:
    array = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return array.data
