"""VQGAN painting as a technique: its record, and `paint` for Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guidance.command.technique import Technique, later
from guidance.converting import from_table
from guidance.vqgan.options import VqganOptions

if TYPE_CHECKING:
    from guidance.step.loop import Step


def paint(prompt: str, **options: object) -> Iterator[Step]:
    """Paint `prompt` with the codes of a VQGAN and yield every step.

    Args:
        prompt: as on the command line, e.g. ``"a fox at sunrise"``.
        **options: fields of `VqganOptions`, e.g. ``size="256x192", steps=100, seed=3``.

    Returns:
        An iterator of `Step`; ``step.image`` is ``[1, 3, H, W]`` in [0, 1], ``step.generator``
        gives any size (``.render(1024, 1024)``).

    Raises:
        InputError: an option is unknown or not allowed; before anything is loaded.

    Example:
        >>> for step in paint("a fox at sunrise", size="96x64", steps=2, device="cpu"):
        ...     print(step.index, tuple(step.image.shape))
        0 (1, 3, 64, 96)
        1 (1, 3, 64, 96)
    """
    return VQGAN.steps(from_table(VqganOptions, {"prompt": prompt, **options}, "paint"))


VQGAN = Technique(
    "vqgan",
    VqganOptions,
    later("guidance.vqgan.build:build"),
    VqganOptions.final,
    later("guidance.vqgan.build:regularisers"),
)
