"""Draw ten seeds of a prompt, keep the best three by CLIP, and lay them out on a sheet.

Usage:
    python recipes/best_of_ten.py "a fox at sunrise"
    python recipes/best_of_ten.py "a fox at sunrise" --seeds 4 --keep 2 --steps 100
"""

from __future__ import annotations

import argparse
from pathlib import Path

import guidance
from guidance.artifacts import contact_sheet
from guidance.files import make_folder, write
from guidance.images import load_image, to_pil
from guidance.prompts import slug


def best_of(options: argparse.Namespace) -> Path:
    """Draw with all seeds, keep the best, and return their contact sheet."""
    folder = make_folder(options.output or Path("outputs") / f"best-of-{slug(options.prompt)}")
    files = []
    for seed in range(options.seeds):
        for step in guidance.draw(
            options.prompt,
            seed=seed,
            steps=options.steps,
            strokes=options.strokes,
            clip=options.clip,
        ):
            pass  # only the last step is wanted
        drawing = step.generator
        path = folder / f"seed-{seed}.png"
        to_pil(drawing.render(512, 512)).save(path)
        write(folder / f"seed-{seed}.svg", drawing.artefacts()["drawing.svg"])
        files.append(path)
        print(f"seed {seed}: score {step.score:.3f}")

    best = guidance.rank(files, options.prompt, clip=options.clip)[: options.keep]
    for place in best:
        print(f"{place.rank}. {files[place.index].name}  {place.score:.3f}")
    sheet = contact_sheet(
        [load_image(files[place.index]) for place in best],
        [f"{place.rank}. seed {place.index}  {place.score:.3f}" for place in best],
        tile=384,
        columns=len(best),
    )
    sheet.save(folder / "best.png")
    return folder / "best.png"


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompt")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--keep", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--strokes", type=int, default=128)
    parser.add_argument("--clip", default="mini")
    parser.add_argument("--output", help="folder; by default under outputs/")
    options = parser.parse_args()
    try:
        print(best_of(options))
    except guidance.GuidanceError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
