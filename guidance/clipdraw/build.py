"""Options → drawing: what CLIPDraw starts with."""

from __future__ import annotations

from dataclasses import replace

import torch

from guidance.clipdraw.generator import REFERENCE, Drawing, Export, random_scene, take_colours
from guidance.clipdraw.options import ClipDrawOptions
from guidance.conventions import derive_seed, make_generator
from guidance.images.canvas import load_picture
from guidance.images.parse import parse_colour
from guidance.vector.scene import Scene
from guidance.vector.svg.reader import from_svg

# Widths move by a tenth of a pixel a step. CLIPDraw starts all at 1 pixel and takes 1,000 steps to
# cover the paper; starting up to here gets there in a third of them.
START_WIDTH = 8.0


def build(options: ClipDrawOptions, device: torch.device) -> Drawing:
    """Return the drawing that `options` start with."""
    drawing = Drawing(
        _start(options).to(device),
        options.canvas(),
        background=parse_colour("background", options.background),
        width_range=(options.width[0] / REFERENCE, options.width[1] / REFERENCE),
        palette=torch.tensor(options.colours()) if options.palette else None,
        ink=options.black,
        lr=(options.points_lr / REFERENCE, options.width_lr / REFERENCE, options.colour_lr),
        export=Export(options.final(), options.prompt),
    )
    drawing.notes = options.notes()
    return drawing


def _start(options: ClipDrawOptions) -> Scene:
    if options.init is not None and options.init_is_svg():
        return from_svg(options.init)
    low, high = options.width
    scene = random_scene(
        options.strokes,
        options.segments,
        closed=options.closed,
        width=(low / REFERENCE, max(low, min(high, START_WIDTH)) / REFERENCE),
        opacity=options.opacity,
        generator=make_generator(derive_seed(options.seed, "strokes")),
    )
    if options.init is not None:
        picture = load_picture(options.init, options.canvas())
        scene = replace(scene, colors=take_colours(scene, picture))
    if options.black:
        scene = replace(scene, colors=torch.tensor([0.0, 0, 0, 1]).repeat(len(scene), 1))
    return scene
