"""Draw a prompt with strokes, then paint over the drawing with a VQGAN.

The strokes give bold shapes, the codes of the VQGAN give them surfaces.

Usage:
    python recipes/draw_then_paint.py "a lighthouse on a cliff"
    python recipes/draw_then_paint.py "a lighthouse on a cliff" --strokes 64 --keep 30
"""

from __future__ import annotations

import argparse
from pathlib import Path

import guidance
from guidance.artifacts import contact_sheet
from guidance.files import make_folder, write
from guidance.images import load_image, to_pil
from guidance.prompts import slug


def draw_then_paint(options: argparse.Namespace) -> Path:
    """Save the drawing and the painting and return the sheet of both."""
    name = f"draw-then-paint-{slug(options.prompt)}"
    folder = make_folder(options.output or Path("outputs") / name)
    shared = {"seed": options.seed, "clip": options.clip, "size": str(options.size)}

    drawing = None
    for step in guidance.draw(
        options.prompt, steps=options.draw_steps, strokes=options.strokes, **shared
    ):
        drawing = step.generator
    to_pil(drawing.render(options.size, options.size)).save(folder / "drawing.png")
    write(folder / "drawing.svg", drawing.artefacts()["drawing.svg"])

    painting = None
    for step in guidance.paint(
        options.prompt,
        steps=options.paint_steps,
        init=str(folder / "drawing.png"),
        init_weight=options.keep,
        vqgan=options.vqgan,
        **shared,
    ):
        painting = step.generator
    to_pil(painting.render(options.size, options.size)).save(folder / "painting.png")

    files = [folder / "drawing.png", folder / "painting.png"]
    sheet = contact_sheet([load_image(f) for f in files], ["drawn", "painted over"], tile=384)
    sheet.save(folder / "both.png")
    return folder / "both.png"


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompt")
    parser.add_argument("--strokes", type=int, default=128)
    parser.add_argument("--draw-steps", type=int, default=150)
    parser.add_argument("--paint-steps", type=int, default=80)
    parser.add_argument("--keep", type=float, default=10.0, help="pull back to the drawing")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clip", default="mini")
    parser.add_argument("--vqgan", default="mini")
    parser.add_argument("--output", help="folder; by default under outputs/")
    options = parser.parse_args()
    try:
        print(draw_then_paint(options))
    except guidance.GuidanceError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
