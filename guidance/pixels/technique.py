"""Pixels as a technique: options → generator, and `evolve` for Python."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from guidance.command.options import from_table
from guidance.command.technique import Technique
from guidance.conventions import derive_seed, make_generator
from guidance.images.canvas import load_picture
from guidance.objective.prompted import Objective
from guidance.objective.regularisers import Smoothness
from guidance.pixels.canvas import Art, Canvas, Fourier, Rgb
from guidance.pixels.generator import Pixels
from guidance.pixels.options import PixelsOptions
from guidance.step.loop import Step

NOISE = 0.02  # spread of the first values: enough to be no two starts alike, too faint to be seen


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


def build(options: PixelsOptions, device: torch.device) -> Pixels:
    """Return the picture that `options` start with."""
    canvas = _canvas(options)
    if options.init is not None:
        canvas.take(load_picture(options.init, options.canvas()))
    pixels = Pixels(canvas.to(device), options.rate())
    pixels.notes = options.notes()
    return pixels


def _canvas(options: PixelsOptions) -> Canvas:
    start = {"noise": NOISE, "generator": make_generator(derive_seed(options.seed, "pixels"))}
    if options.kind == "art":
        palette = torch.tensor(options.colors()) if options.colors() else None
        return Art(options.cells(), options.cell(), palette=palette, **start)
    size = options.canvas()
    if options.kind == "rgb":
        return Rgb(size, **start)
    return Fourier(size, decay=options.decay, decorrelate=options.decorrelate, **start)


def regularisers(options: PixelsOptions, device: torch.device) -> Objective | None:
    """Return the smoothness, if it has a weight."""
    return options.smooth() * Smoothness() if options.smooth() else None


PIXELS = Technique("pixels", PixelsOptions, build, PixelsOptions.final, regularisers)
