"""Confusion matrices → one picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

INK, GRID = "#222222", "#dddddd"
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)  # blue and vermilion differ without colour vision
SIDE = 2400  # pixels that a matrix takes at most
CELL, LEAST = 46, 4  # pixels: of a cell of few classes, of very many
NAMED = 11  # pixels of a cell beside which a name can be read
COUNTED = 24  # pixels of a cell into which a number fits
MARGIN, TITLE = 18, 17  # pixels
LONGEST = 260  # pixels of a name


def draw(panels: Sequence[tuple[str, Tensor]], names: Sequence[str]) -> Image.Image:
    """Draw matrices side by side, of more than four in two rows.

    A row is what an image is, a column what it was taken for. The colour says which share of its
    row a cell holds: blue on the diagonal, where it is right, and vermilion elsewhere.

    Args:
        panels: title and counts ``[C, C]`` of each.
        names: of the C classes.
    """
    cell = max(LEAST, min(CELL, SIDE // len(names)))
    pictures = [_panel(title, counts, names, cell) for title, counts in panels]
    columns = len(pictures) if len(pictures) <= 4 else -(-len(pictures) // 2)
    width, height = (max(size) for size in zip(*(p.size for p in pictures), strict=True))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % columns * width, place // columns * height))
    return sheet


def _panel(title: str, counts: Tensor, names: Sequence[str], cell: int) -> Image.Image:
    font = ImageFont.load_default(size=min(15, max(9, cell * 0.6)))
    texts = [_fitted(name, font) for name in names] if cell >= NAMED else []
    room = max((int(font.getlength(t)) for t in texts), default=0) + 8
    left, top = MARGIN + room, MARGIN + 2 * TITLE + room
    side = cell * len(names)
    heading = ImageFont.load_default(size=TITLE)
    width = max(left + side, MARGIN + int(heading.getlength(title))) + MARGIN
    picture = Image.new("RGB", (width, top + side + MARGIN), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((MARGIN, MARGIN), title, INK, heading)
    for place, text in enumerate(texts):
        middle = cell * place + cell // 2
        pen.text((left - 6, top + middle), text, INK, font, anchor="rm")
        picture.paste(_upright(text, font), (left + middle - font.size // 2, top - room))
    _cells(picture, counts, (left, top), cell, font)
    return picture


def _cells(
    picture: Image.Image,
    counts: Tensor,
    corner: tuple[int, int],
    cell: int,
    font: ImageFont.FreeTypeFont,
) -> None:
    shares = counts.double() / counts.sum(1, keepdim=True).clamp_min(1)
    deep = torch.tensor(WRONG).repeat(len(counts), len(counts), 1)
    deep.diagonal()[:] = torch.tensor(RIGHT)[:, None]
    colours = (255 + shares[..., None] * (deep - 255)).round().to(torch.uint8)
    side = cell * len(counts)
    cells = Image.fromarray(colours.numpy()).resize((side, side), Image.Resampling.NEAREST)
    picture.paste(cells, corner)
    pen = ImageDraw.Draw(picture)
    left, top = corner
    for place in range(1, len(counts)) if cell >= NAMED else ():
        x, y = left + cell * place, top + cell * place
        pen.line((x, top, x, top + side), GRID)
        pen.line((left, y, left + side, y), GRID)
    pen.rectangle((left, top, left + side, top + side), outline=INK)
    for y, x in counts.nonzero().tolist() if cell >= COUNTED else ():
        ink = "white" if shares[y, x] > 0.55 else INK
        middle = (left + cell * (x + 0.5), top + cell * (y + 0.5))
        pen.text(middle, str(int(counts[y, x])), ink, font, anchor="mm")


def _upright(text: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Return `text` turned by 90 degrees, to be read from below, its end up to the matrix."""
    size = (int(font.getlength(text)) + 8, int(font.size) + 4)
    line = Image.new("RGB", size, "white")
    ImageDraw.Draw(line).text((6, size[1] / 2), text, INK, font, anchor="lm")
    return line.rotate(90, expand=True)


def _fitted(name: str, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(name) <= LONGEST:
        return name
    while name and font.getlength(name + "…") > LONGEST:
        name = name[:-1]
    return name + "…"
