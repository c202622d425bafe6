"""DALL·E as a technique: its record, and `sample` for Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guidance.command.technique import Technique, later
from guidance.converting import from_table
from guidance.dalle.options import DalleOptions

if TYPE_CHECKING:
    from guidance.step.loop import Step


def sample(prompt: str, **options: object) -> Iterator[Step]:
    """Write `prompt` as pictures of codes and yield every step.

    Args:
        prompt: as on the command line, e.g. ``"a fox at sunrise"``.
        **options: fields of `DalleOptions`, e.g. ``number=64, cfg=4, top_k=128, seed=3``.

    Returns:
        An iterator of `Step`; ``step.image`` is ``[number, 3, H, W]`` in [0, 1], in the order of
        the seeds, grey where nothing is written yet. Score and loss are NaN but where a batch is
        whole: they are the mean of its pictures.

    Raises:
        InputError: an option is unknown or not allowed; before anything is loaded.

    Example::

        for step in sample("a fox", model="dalle.safetensors", steps=4):
            show(step.image)
        best = guidance.rank(step.image, "a fox")[0]
    """
    return DALLE.steps(from_table(DalleOptions, {"prompt": prompt, **options}, "sample"))


DALLE = Technique(
    "dalle",
    DalleOptions,
    later("guidance.dalle.build:build"),
    arrange=later("guidance.dalle.build:arrange"),
)
