"""Draw a prompt with strokes, then paint over the drawing with a VQGAN.

The strokes give bold shapes, the codes of the VQGAN give them surfaces.

Usage:
    python recipes/draw_then_paint.py "a lighthouse on a cliff"
    python recipes/draw_then_paint.py "a lighthouse on a cliff" --strokes 64 --keep 30
"""

from dataclasses import dataclass
from pathlib import Path

import guidance
from guidance.artefacts.run_folder import contact_sheet
from guidance.command import cli
from guidance.files.writing import make_folder, write
from guidance.images import load_image, to_pil
from guidance.prompts.grammar import slug


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
    output: str | None = None
    """Folder; by default a new one under outputs/."""


def draw_then_paint(options: Options) -> Path:
    """Save the drawing and the painting and return the sheet of both."""
    name = f"draw-then-paint-{slug(options.prompt)}"
    folder = Path(options.output or Path("outputs") / name)
    shared = {"seed": options.seed, "clip": options.clip, "size": str(options.size)}

    drawing = None
    for step in guidance.draw(
        options.prompt, steps=options.draw_steps, strokes=options.strokes, **shared
    ):
        drawing = step.generator
    make_folder(folder)  # not before: what is refused leaves nothing
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
    raise SystemExit(
        cli.main(
            Options,
            lambda options: print(draw_then_paint(options)),
            prog="python recipes/draw_then_paint.py",
        )
    )


if __name__ == "__main__":
    main()
