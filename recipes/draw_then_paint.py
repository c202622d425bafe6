"""Draw a prompt with strokes, then paint over the drawing with a VQGAN.

The strokes give bold shapes, the codes of the VQGAN give them surfaces.

Usage:
    python recipes/draw_then_paint.py "a lighthouse on a cliff"
    python recipes/draw_then_paint.py "a lighthouse on a cliff" --strokes 64 --keep 30
"""

from dataclasses import dataclass
from pathlib import Path

import guidance
from guidance.command import cli, recipe


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw a prompt with strokes, then paint over the drawing with a VQGAN."""

    prompt: cli.Prompt
    """What to draw and paint."""
    strokes: int = 128
    draw_steps: int = 150
    paint_steps: int = 80
    keep: float = 10.0
    """How strongly the painting is pulled back to the drawing."""
    size: int = 224
    seed: int = 0
    clip: str = "mini"
    vqgan: str = "mini"
    output: recipe.Output = None


def draw_then_paint(options: Options) -> Path:
    """Save the drawing and the painting and return the sheet of both."""
    folder = recipe.Folder(options.output, "draw-then-paint", options.prompt)
    shared = {"seed": options.seed, "clip": options.clip, "size": str(options.size)}
    size = (options.size, options.size)

    drawing = recipe.last(
        guidance.draw(options.prompt, steps=options.draw_steps, strokes=options.strokes, **shared)
    ).generator
    drawn = folder.save("drawing.png", drawing.render(*size))
    folder.write("drawing.svg", drawing.artefacts()["drawing.svg"])

    painting = recipe.last(
        guidance.paint(
            options.prompt,
            steps=options.paint_steps,
            init=str(drawn),
            init_weight=options.keep,
            vqgan=options.vqgan,
            **shared,
        )
    ).generator
    folder.save("painting.png", painting.render(*size))
    return folder.sheet("both.png", folder.pictures, ["drawn", "painted over"], tile=384)


if __name__ == "__main__":
    recipe.main(Options, draw_then_paint, __file__)
