"""Build a scene bit by bit: generate a room, then paint one thing after another into it.

GLIDE's iterative editing (Nichol et al. 2021, arXiv:2112.10741, figure 3). Each thing is painted
into a rectangle; the rest of the picture stays as it was, pixel for pixel.

Usage:
    python recipes/build_a_scene.py
    python recipes/build_a_scene.py "a green field" --edit "a red barn@0.1,0.3,0.5,0.7" \
        --edit "a tree in front of a barn@0.6,0.1,1,0.8"

A rectangle is LEFT,TOP,RIGHT,BOTTOM in parts of the picture: 0,0,1,1 is all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from PIL import Image

import guidance
from guidance.command import cli, recipe
from guidance.errors import InputError
from guidance.prompts.slug import slug
from guidance.score.prompts import prompts_for_ranking

if TYPE_CHECKING:
    from torch import Tensor

EDITS = (
    "a painting on the wall@0.3,0.08,0.7,0.42",
    "a table in a living room@0.2,0.55,0.8,1",
    "a vase of flowers on a table@0.4,0.42,0.62,0.72",
)
LEAST = 0.05  # side of a rectangle: a narrower one could vanish on a small canvas


@dataclass(frozen=True, kw_only=True)
class Options:
    """Build a scene bit by bit: generate a room, then paint one thing after another into it."""

    prompt: cli.Prompt = "a cozy living room"
    """Where everything is painted into."""
    edit: Annotated[cli.Several[tuple[str, ...]], tyro.conf.arg(metavar="TEXT@X0,Y0,X1,Y1")] = ()
    """What to paint, and where; may be repeated."""
    model: str = "mini"
    clip: str = "mini"
    number: int = 4
    """Pictures to choose from each time."""
    steps: int = 25
    seed: int = 0
    output: recipe.Output = None


@dataclass(frozen=True)
class Edit:
    """A thing, and the rectangle that it is painted into, in parts of the picture."""

    text: str
    box: tuple[float, float, float, float]

    @classmethod
    def parse(cls, given: str) -> "Edit":
        """Read ``TEXT@LEFT,TOP,RIGHT,BOTTOM``.

        Raises:
            InputError: it has another form, or the rectangle is not inside the picture.
        """
        text, _, numbers = given.rpartition("@")
        try:
            left, top, right, bottom = box = tuple(float(n) for n in numbers.split(","))
        except ValueError:
            left, top, right, bottom = box = (1.0, 1.0, 0.0, 0.0)
        sides = ((left, right), (top, bottom))
        fits = all(a >= 0 and b <= 1 and round(b - a, 6) >= LEAST for a, b in sides)
        if not fits or not text.strip():
            raise InputError(
                "--edit must be TEXT@LEFT,TOP,RIGHT,BOTTOM with 0 <= LEFT < RIGHT <= 1 and "
                f"0 <= TOP < BOTTOM <= 1, at least {LEAST} apart, but is {given!r}"
            )
        prompts_for_ranking(text)
        return cls(text.strip(), box)

    def mask(self, size: tuple[int, int]) -> Image.Image:
        """Return a picture of `size` (width, height): white in the rectangle, else black."""
        mask = Image.new("L", size)
        mask.paste(255, tuple(round(f * side) for f, side in zip(self.box, size * 2, strict=True)))
        return mask


def sample(options: Options, text: str, seed: int, **edit: str) -> "Tensor":
    """Return the best of some pictures by CLIP, ``[3, H, W]``."""
    step = recipe.last(
        guidance.diffuse(
            text,
            model=options.model,
            clip=options.clip,
            number=options.number,
            steps=options.steps,
            seed=seed,
            **edit,
        )
    )
    images = step.generator.render(*step.generator.final_size)
    best = guidance.rank(images, text, clip=options.clip)[0]
    print(f"{text}: score {best.score:.3f}")
    return images[best.index]


def build(options: Options, edits: Sequence[Edit]) -> Path:
    """Save each state of the scene and return the contact sheet."""
    folder = recipe.Folder(options.output, "scene", options.prompt)
    first = sample(options, options.prompt, options.seed)
    path = folder.save(f"0-{slug(options.prompt)}.png", first)
    for number, edit in enumerate(edits, 1):
        mask = folder.path / f"{number}-mask.png"
        edit.mask(folder.pictures[-1].size).save(mask)
        # noise that has made the room would make the same wall again
        seed = options.seed + number * options.number
        state = sample(options, edit.text, seed, init=str(path), mask=str(mask))
        path = folder.save(f"{number}-{slug(edit.text)}.png", state)
    labels = [options.prompt, *(f"+ {edit.text}" for edit in edits)]
    return folder.sheet("scene.png", folder.pictures, labels, columns=len(labels))


def run(options: Options) -> Path:
    """Check everything before a picture is made, and build the scene."""
    prompts_for_ranking(options.prompt)
    return build(options, [Edit.parse(edit) for edit in options.edit or EDITS])


if __name__ == "__main__":
    recipe.main(Options, run, __file__)
