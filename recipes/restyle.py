"""Restyle a photo in several manners: the things in it stay where they are, the surfaces change.

Usage:
    python recipes/restyle.py photo.jpg
    python recipes/restyle.py photo.jpg --with diffusion --strength 0.5
    python recipes/restyle.py photo.jpg --style "a stained glass window" --style "a woodcut"
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

import guidance
from guidance.command import cli, recipe
from guidance.prompts.slug import slug

STYLES = (
    "an oil painting by Van Gogh",
    "a watercolor painting",
    "a woodblock print by Hokusai",
    "a stained glass window",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Restyle a photo in several manners: the things in it stay, the surfaces change."""

    photo: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PHOTO")]
    """The picture."""
    style: cli.Several[tuple[str, ...]] = ()
    """A manner; may be repeated."""
    technique: Annotated[Literal["vqgan", "diffusion"], tyro.conf.arg(name="with")] = "vqgan"
    """What paints."""
    steps: int = 60
    size: str | None = None
    """By default the model's own, in the photo's shape."""
    clip: str = "mini"
    vqgan: str = "mini"
    keep: float = 20.0
    """vqgan: how strongly the picture is pulled back to the photo."""
    model: str = "mini"
    """Diffusion model."""
    strength: float = 0.6
    """diffusion: how much may change, 0 to 1."""
    output: recipe.Output = None


def steps_of(style: str, options: Options) -> "Iterator[guidance.Step]":
    """Yield the steps of one style."""
    shared = {"init": str(options.photo), "steps": options.steps, "clip": options.clip}
    if options.technique == "diffusion":
        own = {"model": options.model, "strength": options.strength, "size": options.size}
        return guidance.diffuse(style, number=1, **shared, **own)
    own = {"vqgan": options.vqgan, "init_weight": options.keep, "size": options.size}
    return guidance.paint(style, **shared, **own)


def restyle(options: Options) -> Path:
    """Save the photo in all styles and return the contact sheet."""
    cli.check_input_file("photo", options.photo)
    styles = options.style or STYLES
    folder = recipe.Folder(options.output, "restyle", options.photo.stem)
    notes: dict[str, None] = {}  # each once, though every style has them
    for style in styles:
        step = recipe.last(steps_of(style, options))
        notes |= dict.fromkeys(step.generator.notes)
        picture = step.generator.render(*step.generator.final_size)
        folder.save(f"{slug(style)}.png", picture)
        print(f"{style}: score {step.score:.3f}")
    for line in notes:
        print(line)
    pictures, labels = [options.photo, *folder.pictures], ["photo", *styles]
    return folder.sheet("styles.png", pictures, labels, columns=len(pictures))


if __name__ == "__main__":
    recipe.main(Options, restyle, __file__)
