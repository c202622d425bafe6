"""What a grid of codes must be."""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.conventions import check_shape
from guidance.errors import InputError


def check_codes(codes: Tensor, count: int) -> None:
    """Raise `InputError` unless `codes` is a batch of grids of whole numbers below `count`."""
    check_shape("codes", codes, ["N", "h", "w"])
    if codes.dtype != torch.int64:
        raise InputError(f"codes must be int64 but are {codes.dtype}")
    if codes.numel() and not (codes.min() >= 0 and codes.max() < count):
        raise InputError(
            f"codes must be from 0 to {count - 1} but are from {codes.min()} to {codes.max()}"
        )
