"""Diffusion as a technique: its record, and `diffuse` for Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guidance.command.technique import Technique, later
from guidance.converting import from_table
from guidance.diffusion.guide_options import SCHEDULES
from guidance.diffusion.options import DiffusionOptions

if TYPE_CHECKING:
    from guidance.step.loop import Step


def diffuse(prompt: str, **options: object) -> Iterator[Step]:
    """Sample `prompt` from a diffusion model and yield every step.

    Args:
        prompt: as on the command line, e.g. ``"a fox at sunrise"``.
        **options: fields of `DiffusionOptions`, e.g. ``number=9, steps=30, clip_scale=0, seed=3``.

    Returns:
        An iterator of `Step`; ``step.image`` is ``[number, 3, H, W]`` in [0, 1], the pictures as
        they are foreseen and in the end the finished ones, in the order of their seeds.
        ``step.generator.render(*step.generator.final_size)`` gives them as they are saved. Score
        and loss are NaN in steps that CLIP does not guide.

    Raises:
        InputError: an option is unknown or not allowed; before anything is loaded.

    Example:
        >>> for step in diffuse("a fox at sunrise", number=1, steps=2, device="cpu"):
        ...     print(step.index, tuple(step.image.shape))
        0 (1, 3, 128, 128)
        1 (1, 3, 128, 128)
    """
    for name in SCHEDULES:  # which are text, since they may be more than a number
        if isinstance(options.get(name), int | float):
            options[name] = str(options[name])
    return DIFFUSION.steps(from_table(DiffusionOptions, {"prompt": prompt, **options}, "diffuse"))


DIFFUSION = Technique(
    "diffusion",
    DiffusionOptions,
    later("guidance.diffusion.build:build"),
    regularisers=later("guidance.diffusion.build:regularisers"),
    arrange=later("guidance.diffusion.build:arrange"),
)
