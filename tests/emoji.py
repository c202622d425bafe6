"""Emoji of our own, in two drawing styles: SVG → shards with names as captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from guidance.data import Sample
from guidance.data.shards import ShardWriter, encode
from guidance.train.data.sources import render_svg

COLOURS = {
    "red": "#d33", "orange": "#f80", "yellow": "#fd3", "green": "#3a4", "blue": "#36c",
    "purple": "#83b", "pink": "#fac", "brown": "#853",
}  # fmt: skip
# {c} is the colour, {d} the dark detail colour, {s} the outline
SHAPES = {
    "happy face": '<circle cx="50" cy="50" r="44" fill="{c}" {s}/><circle cx="35" cy="40" r="6" '
    'fill="{d}"/><circle cx="65" cy="40" r="6" fill="{d}"/><path d="M28 60q22 26 44 0" '
    'stroke="{d}" stroke-width="6" fill="none"/>',
    "sad face": '<circle cx="50" cy="50" r="44" fill="{c}" {s}/><circle cx="35" cy="40" r="6" '
    'fill="{d}"/><circle cx="65" cy="40" r="6" fill="{d}"/><path d="M28 74q22-26 44 0" '
    'stroke="{d}" stroke-width="6" fill="none"/>',
    "heart": '<path d="M50 90C-10 50 10 5 50 30C90 5 110 50 50 90Z" fill="{c}" {s}/>',
    "star": '<path d="M50 5l13 30 32 3-24 22 7 32-28-17-28 17 7-32L5 38l32-3z" fill="{c}" {s}/>',
    "house": '<path d="M8 50L50 10 92 50H80V92H20V50Z" fill="{c}" {s}/><path d="M42 92V64h16v28" '
    'fill="{d}"/>',
    "tree": '<path d="M50 5L85 70H15Z" fill="{c}" {s}/><path d="M43 70h14v24H43z" fill="{d}"/>',
    "fish": '<path d="M5 50Q35 10 70 50L95 25V75L70 50Q35 90 5 50Z" fill="{c}" {s}/>'
    '<circle cx="24" cy="46" r="5" fill="{d}"/>',
    "flower": '<g fill="{c}" {s}><circle cx="50" cy="22" r="17"/><circle cx="76" cy="42" r="17"/>'
    '<circle cx="66" cy="73" r="17"/><circle cx="34" cy="73" r="17"/><circle cx="24" cy="42" '
    'r="17"/></g><circle cx="50" cy="50" r="14" fill="{d}"/>',
    "moon": '<path d="M65 6A45 45 0 1 0 92 74A38 38 0 0 1 65 6Z" fill="{c}" {s}/>',
    "umbrella": '<path d="M6 52A44 44 0 0 1 94 52Z" fill="{c}" {s}/><path d="M50 52v34q0 8-10 8" '
    'stroke="{d}" stroke-width="6" fill="none"/>',
    "car": '<path d="M6 70V50L24 46 36 26H68L80 46 94 50V70Z" fill="{c}" {s}/><circle cx="28" '
    'cy="72" r="11" fill="{d}"/><circle cx="72" cy="72" r="11" fill="{d}"/>',
    "cup": '<path d="M18 25H70L64 85H24Z" fill="{c}" {s}/><path d="M70 35q22 4-4 30" '
    'stroke="{d}" stroke-width="7" fill="none"/>',
}
NAMES = [f"{colour} {shape}" for shape in SHAPES for colour in COLOURS]


def emoji(name: str, seed: int, *, outlined: bool) -> Image.Image:
    """Render the emoji called `name`, a little tilted by `seed`; outlined is a second style."""
    colour, _, shape = name.partition(" ")
    rng = np.random.default_rng(seed)
    dark = "#222" if outlined else "#533"
    stroke = 'stroke="#111" stroke-width="5"' if outlined else ""
    body = SHAPES[shape].format(c=COLOURS[colour], d=dark, s=stroke)
    tilt, skew = rng.uniform(-12, 12), rng.uniform(-6, 6)
    return render_svg(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -10 120 120"><g transform="rotate('
        f'{tilt:.1f} 50 50) skewX({skew:.1f})">{body}</g></svg>'
    )


def write_emoji(folder: Path, name: str, *, copies: int = 1, outlined: bool = False) -> Path:
    """Write every emoji `copies` times into shards called `name`; return the first shard."""
    folder.mkdir(parents=True, exist_ok=True)
    with ShardWriter(folder, name) as writer:
        for number, title in enumerate(NAMES * copies):
            sample = Sample(
                f"{number:05}", (f"a {title}",), "emoji", "made here", group=title, label=title
            )
            writer.add(sample, *encode(emoji(title, number + 1, outlined=outlined)))
    return folder / f"{name}-000.tar"
