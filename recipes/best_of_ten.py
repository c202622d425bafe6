"""Draw ten seeds of a prompt, keep the best three by CLIP, and lay them out on a sheet.

Usage:
    python recipes/best_of_ten.py "a fox at sunrise"
    python recipes/best_of_ten.py "a fox at sunrise" --seeds 4 --keep 2 --steps 100
"""

from dataclasses import dataclass
from pathlib import Path

import guidance
from guidance.command import cli, recipe


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
    output: recipe.Output = None


def best_of(options: Options) -> Path:
    """Draw with all seeds, keep the best, and return their contact sheet."""
    folder = recipe.Folder(options.output, "best-of", options.prompt)
    shared = {"steps": options.steps, "strokes": options.strokes, "clip": options.clip}
    files = []
    for seed in range(options.seeds):
        step = recipe.last(guidance.draw(options.prompt, seed=seed, **shared))
        files.append(folder.save(f"seed-{seed}.png", step.generator.render(512, 512)))
        folder.write(f"seed-{seed}.svg", step.generator.artefacts()["drawing.svg"])
        print(f"seed {seed}: score {step.score:.3f}")

    best = guidance.rank(files, options.prompt, clip=options.clip)[: options.keep]
    for place in best:
        print(f"{place.rank}. {files[place.index].name}  {place.score:.3f}")
    labels = [f"{place.rank}. seed {place.index}  {place.score:.3f}" for place in best]
    pictures = [folder.pictures[place.index] for place in best]
    return folder.sheet("best.png", pictures, labels, tile=384, columns=len(best))


if __name__ == "__main__":
    recipe.main(Options, best_of, __file__)
