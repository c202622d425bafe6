"""Whether a batch of pictures fits into memory, before it is begun."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from guidance.errors import InputError, counted
from guidance.models.writer import Writer

MEMORY = Path("/proc/meminfo")


def check_memory(writer: Writer, batch: int, texts: int, free: int | None) -> None:
    """Raise `InputError` if a batch of pictures needs more memory than is free.

    Args:
        batch: pictures at once.
        texts: that the model is asked about for each, see `Told.texts`.
        free: bytes; None if it is not known, and nothing is checked.
    """
    needed = writer.memory(batch * texts)
    if free is None or needed <= free:
        return
    fits = batch
    while fits and writer.memory(fits * texts) > free:
        fits -= 1
    remedy = f"--batch {fits} fits" if fits else "not even one fits"
    raise InputError(
        f"batch: {counted(batch, 'picture')} at once need about {_shown(needed)} of memory but "
        f"{_shown(free)} are free; {remedy}"
    )


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on a device, None where it cannot be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu" or not MEMORY.is_file():
        return None
    found = re.search(r"^MemAvailable:\s+([0-9]+) kB$", MEMORY.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _shown(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"
