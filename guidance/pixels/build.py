"""Options → canvas, and what is added to the prompts' objective."""

from __future__ import annotations

import torch

from guidance.conventions import derive_seed, make_generator
from guidance.images.canvas import load_picture
from guidance.objective.prompted import Objective
from guidance.objective.regularisers import Smoothness, weighted
from guidance.pixels.canvas import Art, Canvas, Fourier, Rgb
from guidance.pixels.generator import Pixels
from guidance.pixels.options import PixelsOptions

NOISE = 0.02  # spread of the first values: enough to be no two starts alike, too faint to be seen


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
        palette = torch.tensor(options.colours()) if options.colours() else None
        return Art(options.cells(), options.cell(), palette=palette, **start)
    size = options.canvas()
    if options.kind == "rgb":
        return Rgb(size, **start)
    return Fourier(size, decay=options.decay, decorrelate=options.decorrelate, **start)


def regularisers(options: PixelsOptions, device: torch.device) -> Objective | None:
    """Return the smoothness, if it has a weight."""
    return weighted((options.smooth(), Smoothness()))
