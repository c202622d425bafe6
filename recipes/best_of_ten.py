"""Draw ten seeds of a prompt, keep the best three by CLIP, and lay them out on a sheet.

Usage:
    python recipes/best_of_ten.py "a fox at sunrise"
    python recipes/best_of_ten.py "a fox at sunrise" --seeds 4 --keep 2 --steps 100
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
    """Draw several seeds of a prompt, keep the best by CLIP, and lay them out on a sheet."""

    prompt: cli.Prompt
    """What to draw."""
    seeds: int = 10
    """Drawings."""
    keep: int = 3
    """How many of them are kept."""
    steps: int = 150
    strokes: int = 128
    clip: str = "mini"
    output: str | None = None
    """Folder; by default a new one under outputs/."""


def best_of(options: Options) -> Path:
    """Draw with all seeds, keep the best, and return their contact sheet."""
    folder = Path(options.output or Path("outputs") / f"best-of-{slug(options.prompt)}")
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
        make_folder(folder)  # not before: what is refused leaves nothing
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
    raise SystemExit(
        cli.main(
            Options, lambda options: print(best_of(options)), prog="python recipes/best_of_ten.py"
        )
    )


if __name__ == "__main__":
    main()
