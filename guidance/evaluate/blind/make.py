"""``python -m guidance.evaluate blind``: a shuffled sheet of numbered pictures, and its key.

python -m guidance.evaluate blind --technique clipdraw --prompts fresh -o blind/drawings
python -m guidance.evaluate blind --pictures outputs/ -o blind/mine
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from PIL import Image, ImageOps

from guidance.artefacts.picture import save_picture
from guidance.artefacts.sheet import SHEET_SIDE, contact_sheet
from guidance.conventions import derive_seed, make_generator
from guidance.evaluate.blind import drawing, lists, pictures
from guidance.evaluate.blind.answers import Right, write_form, write_key
from guidance.evaluate.blind.options import BlindOptions
from guidance.evaluate.blind.pictures import Picture
from guidance.files.writing import make_folder, printable, write
from guidance.images import load_image

T = TypeVar("T")


def run(options: BlindOptions) -> int:
    """Make or find the pictures and write sheet, names, form and key; return the exit code."""
    groups = options.groups()
    if options.technique is None:
        found: list[Picture] | None = pictures.find(options.pictures, options.wanted())
    else:
        found = drawing.draw(options)
    if found is None:
        return drawing.INTERRUPTED
    shown = lists.with_synonyms((p.wanted for p in found), groups)
    found = [replace(p, wanted=w) for p, w in zip(found, shown, strict=True)]
    write_sheet(options, found, lists.choices(shown, groups))
    if not options.quiet:
        print(printable(f"wrote {options.output / 'judge'} and {options.output / 'key.csv'}"),
              file=sys.stderr)  # fmt: skip
    return 0


def write_sheet(options: BlindOptions, found: Sequence[Picture], names: Sequence[str]) -> None:
    """Write what whoever names the pictures gets, and the key.

    The order depends on the seed and on the pictures themselves: two sheets of the same prompts
    differ in theirs, so that nothing is learned from one about the other.
    """
    columns = max(1, round(len(found) ** 0.5 + 0.4))
    tile = min(options.tile, SHEET_SIDE // columns - 16)
    tiles = [ImageOps.contain(load_image(p.file), (tile, tile), Image.Resampling.LANCZOS)
             for p in found]  # fmt: skip
    content = hashlib.blake2b(b"".join(t.tobytes() for t in tiles), digest_size=16).hexdigest()
    seed = derive_seed(options.seed, "blind", content)
    order = shuffled(range(len(found)), seed)
    judge = make_folder(options.output / "judge")
    numbers = [str(number) for number in range(1, len(found) + 1)]
    sheet = contact_sheet([tiles[i] for i in order], numbers, tile=tile, columns=columns)
    save_picture(judge / "sheet.png", sheet)
    write(judge / "names.txt", "\n".join(shuffled(names, derive_seed(seed, "names"))) + "\n")
    write_form(judge / "answers.csv", len(found))
    rows = [
        Right(number, p.wanted.prompt, p.wanted.name, p.wanted.accepted, p.seed, printable(p.file))
        for number, p in enumerate((found[i] for i in order), 1)
    ]
    write_key(options.output / "key.csv", rows)


def shuffled(values: Sequence[T], seed: int) -> list[T]:
    """Return values in an order that a seed decides."""
    order = torch.randperm(len(values), generator=make_generator(seed))
    return [values[i] for i in order.tolist()]
