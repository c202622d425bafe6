"""Pictures → one contact sheet that shows them with a line of text each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from guidance.artefacts.picture import save_picture
from guidance.errors import FileError, InputError
from guidance.images import load_image
from guidance.images.read import open_image

SHEET_IMAGES = 400  # more cannot be told apart on one sheet
SHEET_SIDE = 8000  # pixels
EXIF_SOFTWARE = 0x0131
SOFTWARE = "guidance.sheet"  # marks a contact sheet of any version, which later runs may overwrite


def contact_sheet(
    images: Sequence[Image.Image], labels: Sequence[str], *, tile: int = 224, columns: int = 0
) -> Image.Image:
    """Lay out images in a grid with a label under each.

    Args:
        tile: side of the square each image is fitted into, pixels.
        columns: 0 means about as many as rows.
    """
    if not images or len(images) != len(labels):
        raise InputError("a contact sheet needs at least one image and a label for each")
    columns = columns or max(1, round(len(images) ** 0.5 + 0.4))
    margin, strip = max(4, tile // 28), max(18, tile // 10)
    font = ImageFont.load_default(size=strip * 0.62)
    rows = -(-len(images) // columns)
    step_x, step_y = tile + margin, tile + strip + margin
    sheet = Image.new("RGB", (columns * step_x + margin, rows * step_y + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = margin + place % columns * step_x
        top = margin + place // columns * step_y
        small = image.convert("RGB")
        small.thumbnail((tile, tile), Image.Resampling.LANCZOS)
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        while label and draw.textlength(label, font) > tile:
            label = label[:-2] + "…" if len(label) > 2 else ""
        draw.text((left, top + tile + strip * 0.1), label, "black", font)
    return sheet


def write_sheet(path: str | os.PathLike, entries: Iterable[tuple[Path, str]]) -> int:
    """Draw the first `SHEET_IMAGES` files with their labels; return how many the sheet shows.

    Files that cannot be read any more are passed over.

    Args:
        path: a PNG, JPEG or WebP file.
        entries: files and labels.

    Raises:
        FileError: none of them can be read, or the sheet cannot be written.
    """
    chosen = list(itertools.islice(entries, SHEET_IMAGES))
    columns = max(1, round(len(chosen) ** 0.5 + 0.4))
    tile = min(256, SHEET_SIDE // columns - 16)
    images, labels = [], []
    for source, label in chosen:
        try:
            image = load_image(source, min_side=tile)
        except FileError:
            continue  # it was there when it was scored
        image.thumbnail((tile, tile), Image.Resampling.LANCZOS)
        images.append(image)
        labels.append(label)
    if not images:
        raise FileError(f"none of the images for {path} can be read any more")
    tile = min(tile, max(96, *(max(i.size) for i in images)))  # small images are not enlarged
    exif = Image.Exif()
    exif[EXIF_SOFTWARE] = SOFTWARE
    save_picture(path, contact_sheet(images, labels, tile=tile, columns=columns), exif=exif)
    return len(images)


def without_sheet(files: Sequence[Path], sheet: str | None) -> list[Path]:
    """Return `files` without the file `sheet`, if that is a contact sheet of an earlier run.

    Raises:
        InputError: there is no other.
    """
    if sheet is None or not _is_sheet(Path(sheet)):
        return list(files)
    earlier = os.path.realpath(sheet)
    others = [f for f in files if os.path.realpath(f) != earlier]
    if not others:
        raise InputError("there are no images besides an earlier contact sheet")
    return others


def _is_sheet(path: Path) -> bool:
    try:
        with open_image(path, str(path)) as image:
            return image.getexif().get(EXIF_SOFTWARE) == SOFTWARE
    except Exception:  # any of the decoders' errors
        return False
