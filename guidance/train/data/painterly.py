"""Painted versions of pictures, and clutter: uint8 ``[S, S, 3]`` → uint8 ``[S, S, 3]``.

Guided generators start from strokes, blocks and noise. `paint` puts known pictures into that
domain with their caption; `clutter` makes pictures of nothing, which no caption may match.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

STYLES = ("strokes", "strokes", "posterise", "median", "mosaic")


def paint(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Repaint `pixels` ``[S, S, 3]`` in a random style of `STYLES`."""
    image, style = Image.fromarray(pixels), STYLES[rng.integers(len(STYLES))]
    if style == "strokes":
        image = strokes(image, rng)
    elif style == "posterise":
        image = ImageOps.posterize(
            image.filter(ImageFilter.MedianFilter(5)), int(rng.integers(2, 4))
        )
    elif style == "median":
        image = image.filter(ImageFilter.ModeFilter(int(rng.choice([5, 7, 9]))))
    else:
        side = int(rng.integers(18, 48))
        small = image.resize((side, side), Image.Resampling.BOX)
        image = small.resize(image.size, Image.Resampling.NEAREST)
    return np.asarray(image)


def strokes(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Paint `image` with three layers of ever finer curved strokes in its own colours."""
    side = image.width
    mean = tuple(np.asarray(image).reshape(-1, 3).mean(0).astype(int))
    canvas = Image.new("RGB", image.size, mean if rng.random() < 0.5 else (255, 255, 255))
    draw = ImageDraw.Draw(canvas, "RGBA")
    for fraction, count in ((0.12, 90), (0.06, 300), (0.03, 900)):
        smooth = image.filter(ImageFilter.GaussianBlur(fraction * side / 4))
        pixels = np.asarray(smooth)
        for x, y in rng.random((count, 2)) * side:
            colour = pixels[int(y), int(x)].tolist()
            alpha = int(rng.integers(140, 256))
            path = bezier(np.array([x, y]), fraction * side * 1.4, rng)
            draw.line(path, fill=(*colour, alpha), width=max(1, round(fraction * side)))
    return canvas


def bezier(middle: np.ndarray, length: float, rng: np.random.Generator) -> list[tuple]:
    """Return 8 points of a random cubic curve of about `length` pixels around `middle`."""
    t = np.linspace(0, 1, 8)[:, None]
    p = middle + rng.normal(0, length / 2, (4, 2))
    points = (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2]
    return [tuple(q) for q in points + t**3 * p[3]]


def clutter(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a picture of nothing, uint8 ``[S, S, 3]``: scribbles, noise, blobs or a plain wash."""
    kind = rng.integers(5)
    if kind <= 1:
        ground = tuple(rng.integers(0, 256, 3)) if rng.random() < 0.5 else (255, 255, 255)
        canvas = Image.new("RGB", (side, side), tuple(int(g) for g in ground))
        draw = ImageDraw.Draw(canvas, "RGBA")
        for _ in range(int(rng.integers(4, 120))):
            fill = tuple(int(c) for c in (*rng.integers(0, 256, 3), rng.integers(60, 256)))
            path = bezier(rng.random(2) * side, rng.uniform(0.1, 0.8) * side, rng)
            draw.line(path, fill=fill, width=int(rng.integers(1, side // 10)))
        return np.asarray(canvas)
    cells = side if kind == 2 else int(rng.integers(2, 24))
    noise = rng.normal(128, rng.uniform(15, 90), (cells, cells, 3 if rng.random() < 0.8 else 1))
    noise = np.broadcast_to(noise, (cells, cells, 3)).clip(0, 255).astype(np.uint8)
    filters = (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)
    image = Image.fromarray(noise).resize((side, side), filters[rng.integers(2)])
    return np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2))))
