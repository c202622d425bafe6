"""CLIPDraw as a technique: its record, and `draw` for Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guidance.clipdraw.options import ClipDrawOptions
from guidance.command.technique import Technique, later
from guidance.converting import from_table

if TYPE_CHECKING:
    from guidance.step.loop import Step


def draw(prompt: str, **options: object) -> Iterator[Step]:
    """Draw `prompt` with Bézier strokes and yield every step.

    Args:
        prompt: as on the command line, e.g. ``"a fox at sunrise"``.
        **options: fields of `ClipDrawOptions`, e.g. ``strokes=64, steps=100, seed=3``.

    Returns:
        An iterator of `Step`; ``step.image`` is ``[1, 3, H, W]`` in [0, 1], ``step.generator``
        gives any size (``.render(1024, 1024)``) and the SVG (``.artefacts()["drawing.svg"]``). Of
        several `tries` it has the steps of the one that is kept, once all are made.

    Raises:
        InputError: an option is unknown or not allowed; before anything is loaded.

    Example:
        >>> for step in draw("a fox at sunrise", strokes=16, steps=2, device="cpu"):
        ...     print(step.index, tuple(step.image.shape))
        0 (1, 3, 224, 224)
        1 (1, 3, 224, 224)
    """
    return CLIPDRAW.steps(from_table(ClipDrawOptions, {"prompt": prompt, **options}, "draw"))


CLIPDRAW = Technique(
    "clipdraw", ClipDrawOptions, later("guidance.clipdraw.build:build"), ClipDrawOptions.final
)
