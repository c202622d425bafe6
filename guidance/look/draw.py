"""Values and pictures → one picture: heat over a photo, a matrix with thumbnails, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, GREY = "#222222", "#666666"
CELL, GAP, PAD = 76, 2, 12  # pixels of the matrix
NAMES = 250  # pixels of the column of texts
FONT = 15
# dark violet to pale yellow: lightness rises evenly, so the order is clear without colours
RAMP = np.array(
    [[28, 10, 60], [92, 20, 110], [160, 40, 100], [215, 75, 75], [245, 140, 55], [250, 235, 130]],
    dtype=np.float64,
)


def colours(values: np.ndarray) -> np.ndarray:
    """Return the colours of values in [0, 1], ``[...]`` → ``[..., 3]`` uint8."""
    place = np.nan_to_num(np.clip(values, 0, 1)) * (len(RAMP) - 1)
    low = np.minimum(place.astype(int), len(RAMP) - 2)
    part = (place - low)[..., None]
    return (RAMP[low] * (1 - part) + RAMP[low + 1] * part).round().astype(np.uint8)


def overlay(
    image: Image.Image, heat: np.ndarray, low: float, high: float, strength: float = 0.75
) -> Image.Image:
    """Lay heat ``[h, w]`` over a picture: grey and dark where it is `low`, bright at `high`.

    Args:
        strength: how far the colours cover the picture, in [0, 1].
    """
    scaled = (heat - low) / max(high - low, 1e-9)
    small = Image.fromarray(scaled.clip(0, 1).astype(np.float32))
    value = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC)).clip(0, 1)
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=np.float64)
    cover = strength * (0.35 + 0.65 * value[..., None])
    mixed = grey * (1 - cover) + colours(value).astype(np.float64) * cover
    return Image.fromarray(mixed.round().astype(np.uint8))


def matrix(values: np.ndarray, images: Sequence[Image.Image], texts: Sequence[str]) -> Image.Image:
    """Draw values ``[N, P]`` with the N images above and the P texts at the left.

    The colours run from the least to the greatest value.
    """
    font = ImageFont.load_default(FONT)
    lines = [wrap(text, font, NAMES - 2 * PAD, 3) for text in texts]
    left = min(NAMES, 2 * PAD + max(round(font.getlength(x)) for part in lines for x in part))
    step = CELL + GAP
    size = (left + step * len(images) + PAD, PAD + step * (len(texts) + 1) + PAD)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    span = max(float(values.max() - values.min()), 1e-9)
    for column, image in enumerate(images):
        small = image.convert("RGB")
        small.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
        x = left + column * step
        picture.paste(small, (x + (CELL - small.width) // 2, PAD + CELL - small.height))
    for row, part in enumerate(lines):
        y = PAD + step * (row + 1)
        middle = (left - PAD, y + CELL / 2)
        draw.multiline_text(middle, "\n".join(part), INK, font, anchor="rm", align="right")
        for column in range(len(images)):
            value = float(values[column, row])
            part = (value - float(values.min())) / span
            x = left + column * step
            fill = tuple(int(c) for c in colours(np.array(part)))
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill)
            ink = INK if part > 0.6 else "white"
            draw.text((x + CELL / 2, y + CELL / 2), f"{value:.2f}", ink, font, anchor="mm")
    return picture


def bars(
    rows: Mapping[str, Sequence[float]], names: Sequence[str], width: int = 460
) -> Image.Image:
    """Draw probabilities as bars.

    Args:
        rows: label → a value in [0, 1] for each of `names`.
        names: what the bars of one label are, from the first to the last.
    """
    font = ImageFont.load_default(FONT)
    thick = 15
    step = len(names) * thick + 14
    legend = len(names) * (FONT + 6)
    lines = {label: wrap(label, font, 170, max(1, step // (FONT + 4))) for label in rows}
    shades = [tuple(int(c) for c in colours(np.array(p))) for p in (0.12, 0.55, 0.85, 0.35)]
    picture = Image.new("RGB", (width, legend + step * len(rows) + 2 * PAD), "white")
    draw = ImageDraw.Draw(picture)
    for number, name in enumerate(names):
        y = PAD + number * (FONT + 6)
        draw.rectangle((190, y + 2, 190 + FONT - 2, y + FONT), shades[number])
        draw.text((190 + FONT + 6, y + 1), name, INK, font)
    for place, (label, values) in enumerate(rows.items()):
        top = PAD + legend + place * step
        middle = (178, top + len(names) * thick / 2)
        draw.multiline_text(
            middle, "\n".join(lines[label]), INK, font, anchor="rm", align="right", spacing=2
        )
        for number, value in enumerate(values):
            y = top + number * thick
            length = round((width - 190 - 60) * value)
            draw.rectangle((190, y, 190 + max(1, length), y + thick - 3), shades[number])
            draw.text((190 + length + 8, y - 3), f"{value * 100:.1f}%", GREY, font)
    return picture


def beside(pictures: Sequence[Image.Image], gap: int = PAD) -> Image.Image:
    """Put pictures into one row on white, each at the top."""
    width = sum(p.width for p in pictures) + gap * (len(pictures) + 1)
    row = Image.new("RGB", (width, max(p.height for p in pictures) + 2 * gap), "white")
    x = gap
    for picture in pictures:
        row.paste(picture, (x, gap))
        x += picture.width + gap
    return row


def below(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures into one column on white."""
    size = (max(p.width for p in pictures), sum(p.height for p in pictures))
    column = Image.new("RGB", size, "white")
    y = 0
    for picture in pictures:
        column.paste(picture, (0, y))
        y += picture.height
    return column


def titled(picture: Image.Image, title: str, note: str = "") -> Image.Image:
    """Write a title of at most two lines, and a note in grey, under a picture."""
    font, small = ImageFont.load_default(FONT), ImageFont.load_default(FONT - 2)
    lines = wrap(title, font, picture.width, 2)
    height = picture.height + (FONT + 5) * (len(lines) + bool(note)) + 6
    out = Image.new("RGB", (picture.width, height), "white")
    out.paste(picture, (0, 0))
    draw = ImageDraw.Draw(out)
    y = picture.height + 4
    for line in lines:
        draw.text((0, y), line, INK, font)
        y += FONT + 5
    if note:
        draw.text((0, y), note, GREY, small)
    return out


def wrap(text: str, font, width: int, most: int) -> list[str]:
    """Break `text` into at most `most` lines of `width` pixels; what is left out shows as “…”."""
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < most:
        end = len(rest)
        while end > 1 and font.getlength(rest[:end]) > width:
            space = rest.rfind(" ", 0, end)
            end = space if space > 0 else end - 1
        lines.append(rest[:end])
        rest = rest[end:].lstrip()
    if rest:
        last = lines[-1]
        while last and font.getlength(last + "…") > width:
            last = last[:-1]
        lines[-1] = last + "…"
    return lines or [""]
