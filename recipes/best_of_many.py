"""Write a prompt as many small pictures, keep the best, paint over it and draw it.

DALL·E's codes give the composition, CLIP picks it, a VQGAN paints it large and strokes draw it.

Usage:
    python recipes/best_of_many.py "a fox at sunrise" --model runs/dalle/dalle.safetensors
    python recipes/best_of_many.py "a castle" --model runs/dalle/dalle.safetensors --number 128
"""

from dataclasses import dataclass
from pathlib import Path

import guidance
from guidance.command import cli, recipe


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a prompt as many small pictures, keep the best, paint over it and draw it."""

    prompt: cli.Prompt
    """What to make."""
    model: str = "mini"
    """DALL·E, as for guidance.dalle --model."""
    number: int = 64
    """Pictures to choose from."""
    cfg: float | None = None
    """Scale of classifier-free guidance; by default what suits the model."""
    paint_steps: int = 80
    keep: float = 10.0
    """How strongly the painting is pulled back to the picture that was picked."""
    strokes: int = 128
    draw_steps: int = 150
    size: int = 224
    seed: int = 0
    clip: str = "mini"
    vqgan: str = "mini"
    output: recipe.Output = None


def best_of_many(options: Options) -> Path:
    """Save the best picture, the painting and the drawing, and return the sheet of them."""
    folder = recipe.Folder(options.output, "best-of-many", options.prompt)
    shared = {"seed": options.seed, "clip": options.clip}
    size = (options.size, options.size)

    given = {"model": options.model, "number": options.number, "cfg": options.cfg}
    written = recipe.last(guidance.sample(options.prompt, **given, **shared)).image
    best = guidance.rank(written, options.prompt, clip=options.clip)[0]
    picked = folder.save("picked.png", written[best.index])

    shared["size"] = str(options.size)
    painting = recipe.last(
        guidance.paint(
            options.prompt,
            steps=options.paint_steps,
            init=str(picked),
            init_weight=options.keep,
            vqgan=options.vqgan,
            **shared,
        )
    ).generator
    folder.save("painting.png", painting.render(*size))
    drawing = recipe.last(
        guidance.draw(
            options.prompt,
            image_prompt=(f"{picked}:0.5",),
            init=str(picked),
            steps=options.draw_steps,
            strokes=options.strokes,
            **shared,
        )
    ).generator
    folder.save("drawing.png", drawing.render(*size))
    folder.write("drawing.svg", drawing.artefacts()["drawing.svg"])
    labels = [f"best of {options.number}", "painted over", "drawn"]
    return folder.sheet("all.png", folder.pictures, labels, tile=384)


if __name__ == "__main__":
    recipe.main(Options, best_of_many, __file__)
