"""Pixels as a technique: its record, and `evolve` for Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guidance.command.technique import Technique, later
from guidance.converting import from_table
from guidance.pixels.options import PixelsOptions

if TYPE_CHECKING:
    from guidance.step.loop import Step


def evolve(prompt: str, **options: object) -> Iterator[Step]:
    """Move the pixels of a picture towards `prompt` and yield every step.

    Args:
        prompt: as on the command line, e.g. ``"a fox at sunrise"``.
        **options: fields of `PixelsOptions`, e.g. ``kind="art", grid=48, steps=100, seed=3``.

    Returns:
        An iterator of `Step`; ``step.image`` is ``[1, 3, H, W]`` in [0, 1], ``step.generator``
        gives other sizes (``.render(1024, 1024)``).

    Raises:
        InputError: an option is unknown or not allowed; before anything is loaded.

    Example:
        >>> for step in evolve("a fox at sunrise", kind="art", steps=2, device="cpu"):
        ...     print(step.index, tuple(step.image.shape))
        0 (1, 3, 224, 224)
        1 (1, 3, 224, 224)
    """
    return PIXELS.steps(from_table(PixelsOptions, {"prompt": prompt, **options}, "evolve"))


PIXELS = Technique(
    "pixels",
    PixelsOptions,
    later("guidance.pixels.build:build"),
    PixelsOptions.final,
    later("guidance.pixels.build:regularisers"),
)
