"""Restyle a photo in several manners: the things in it stay where they are, the surfaces change.

Usage:
    python recipes/restyle.py photo.jpg
    python recipes/restyle.py photo.jpg --with diffusion --strength 0.5
    python recipes/restyle.py photo.jpg --style "a stained glass window" --style "a woodcut"
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import guidance
from guidance.artifacts import contact_sheet
from guidance.files import make_folder
from guidance.images import load_image, to_pil
from guidance.prompts import slug

STYLES = (
    "an oil painting by Van Gogh",
    "a watercolor painting",
    "a woodblock print by Hokusai",
    "a stained glass window",
)


def steps_of(style: str, options: argparse.Namespace) -> Iterator[guidance.Step]:
    """Yield the steps of one style."""
    shared = {"init": str(options.photo), "steps": options.steps, "clip": options.clip}
    if options.technique == "diffusion":
        own = {"model": options.model, "strength": options.strength, "size": options.size}
        return guidance.diffuse(style, number=1, **shared, **own)
    own = {"vqgan": options.vqgan, "init_weight": options.keep, "size": options.size}
    return guidance.paint(style, **shared, **own)


def restyle(options: argparse.Namespace) -> Path:
    """Save the photo in all styles and return the contact sheet."""
    styles = options.style or STYLES
    folder = make_folder(options.output or Path("outputs") / f"restyle-{slug(options.photo.stem)}")
    pictures, labels = [load_image(options.photo)], ["photo"]
    notes: dict[str, None] = {}  # each once, though every style has them
    for style in styles:
        for step in steps_of(style, options):
            pass  # only the last step is wanted
        notes |= dict.fromkeys(step.generator.notes)
        picture = to_pil(step.generator.render(*step.generator.final_size))
        picture.save(folder / f"{slug(style)}.png")
        pictures.append(picture)
        labels.append(style)
        print(f"{style}: score {step.score:.3f}")
    for line in notes:
        print(line)
    sheet = contact_sheet(pictures, labels, tile=256, columns=len(pictures))
    sheet.save(folder / "styles.png")
    return folder / "styles.png"


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--style", action="append", help="may be repeated")
    parser.add_argument("--with", dest="technique", choices=("vqgan", "diffusion"), default="vqgan")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--size", help="by default the model's own, in the photo's shape")
    parser.add_argument("--clip", default="mini")
    parser.add_argument("--vqgan", default="mini")
    parser.add_argument("--keep", type=float, default=20.0, help="vqgan: pull back to the photo")
    parser.add_argument("--model", default="mini", help="diffusion model")
    parser.add_argument(
        "--strength", type=float, default=0.6, help="diffusion: how much may change, 0 to 1"
    )
    parser.add_argument("--output", help="folder; by default under outputs/")
    options = parser.parse_args()
    if not options.photo.is_file():
        parser.error(f"the file {str(options.photo)!r} does not exist")
    try:
        print(restyle(options))
    except guidance.GuidanceError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
