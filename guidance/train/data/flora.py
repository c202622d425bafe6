"""Flowers seen from above, made up: → picture ``[S, S, 3]`` uint8 and caption.

Captioned photos are of people, animals and things; flowers hardly occur in them. A flower head is
simple enough to draw from its rays, disc and colours, in grass or before a blurred ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from guidance.train.data.names import with_article

Colour = tuple[int, int, int]

SCALE = 2  # pictures are drawn this much larger
SHARE_SEVERAL = 0.4  # pictures of more than one flower


@dataclass(frozen=True)
class Species:
    """What a flower head looks like from above.

    Attributes:
        one: Captions for one of them.
        several: Captions for a few.
        rays: Fewest and most petals in a ring.
        breadth: Width of a petal as a fraction of its length.
        rings: Rings of petals, each a little smaller.
        petals: Their colours.
        disc: Radius of the middle as a fraction of the head's.
        centre: Colours of the middle.
        clock: A globe of seeds on threads instead of petals.
    """

    one: tuple[str, ...]
    several: tuple[str, ...]
    rays: tuple[int, int]
    breadth: tuple[float, float]
    rings: int
    petals: tuple[Colour, ...]
    disc: float
    centre: tuple[Colour, ...]
    clock: bool = False


def _named(name: str, plural: str, look: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    known = with_article(name)
    flower = known if name.endswith("flower") else f"{known} flower"
    one = (known, flower, f"a close-up of {known}", f"a {look} {name}")
    return one, (plural, f"{plural} in the grass", f"a field of {plural}", f"{look} {plural}")


SPECIES = (
    Species(*_named("daisy", "daisies", "white"), (14, 28), (0.16, 0.26), 1,
            ((255, 255, 255), (244, 240, 248), (250, 235, 240)), 0.3,
            ((250, 205, 30), (240, 180, 20))),
    Species(*_named("dandelion", "dandelions", "yellow"), (26, 44), (0.07, 0.13), 5,
            ((255, 218, 20), (250, 200, 0), (255, 230, 60)), 0.0, ((250, 190, 0),)),
    Species(("a dandelion clock", "a dandelion", "a dandelion gone to seed", "a white dandelion"),
            ("dandelions", "dandelion clocks", "dandelions gone to seed"), (40, 70), (0.0, 0.0), 4,
            ((240, 240, 240), (225, 225, 220)), 0.14, ((150, 130, 90), (110, 100, 70)), clock=True),
    Species(*_named("sunflower", "sunflowers", "yellow"), (16, 26), (0.26, 0.4), 2,
            ((255, 200, 10), (250, 180, 0)), 0.45, ((90, 55, 20), (60, 40, 20), (120, 80, 30))),
    Species(*_named("buttercup", "buttercups", "yellow"), (5, 5), (0.85, 1.05), 1,
            ((255, 225, 20), (250, 210, 0)), 0.22, ((220, 190, 20),)),
    Species(*_named("poppy", "poppies", "red"), (4, 6), (0.9, 1.2), 1,
            ((220, 30, 20), (200, 20, 30), (235, 60, 30)), 0.2, ((30, 25, 30),)),
    Species(*_named("cornflower", "cornflowers", "blue"), (8, 13), (0.3, 0.5), 2,
            ((60, 80, 210), (80, 100, 230)), 0.25, ((70, 40, 130),)),
    Species(*_named("aster", "asters", "purple"), (20, 34), (0.12, 0.2), 1,
            ((150, 100, 200), (170, 120, 215)), 0.28, ((240, 190, 40),)),
)  # fmt: skip


def _petal(length: float, breadth: float, angle: float, tilt: np.ndarray) -> np.ndarray:
    """Return the outline ``[P, 2]`` of a petal from the origin, turned and then tilted."""
    t = np.linspace(0, math.pi, 9)
    along = (1 - np.cos(t)) / 2
    across = np.sin(t) * (0.55 + 0.45 * along) * breadth / 2
    outline = np.concatenate([np.stack([along, across], 1), np.stack([along, -across], 1)[::-1]])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return outline * length @ turn @ tilt


def _shade(colour: Iterable[float], amount: float) -> Colour:
    red, green, blue = (int(min(255, max(0, c * amount))) for c in colour)
    return red, green, blue


def head(
    draw: ImageDraw.ImageDraw,
    kind: Species,
    at: np.ndarray,
    radius: float,
    rng: np.random.Generator,
) -> None:
    """Draw one head of `kind` around `at` (x, y) with `radius`, both in pixels."""
    lean, turn = rng.uniform(0.55, 1), rng.uniform(0, math.pi)
    spin = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    tilt = spin @ np.diag([1, lean if not kind.clock else 1]) @ spin.T
    colour = kind.petals[rng.integers(len(kind.petals))]
    light = rng.uniform(0.8, 1.05)
    for ring in range(kind.rings):
        size = radius * (1 - 0.75 * ring / max(kind.rings, 2))
        count = int(rng.integers(kind.rays[0], kind.rays[1] + 1))
        start = rng.uniform(0, math.tau)
        for n in range(count):
            angle = start + math.tau * n / count + rng.normal(0, 0.25 / count)
            length = size * rng.uniform(0.88, 1.05)
            own = _shade(colour, light * rng.uniform(0.82, 1.05))
            if kind.clock:
                end = np.array([math.cos(angle), math.sin(angle)]) * length @ tilt + at
                draw.line([*at, *end], fill=(*own, 110), width=SCALE)
                tuft = max(radius * 0.09, 1)
                box = [*(end - tuft), *(end + tuft)]
                draw.ellipse(box, fill=(*own, 120))
            else:
                outline = _petal(length, rng.uniform(*kind.breadth), angle, tilt) + at
                draw.polygon([tuple(p) for p in outline], fill=own, outline=_shade(own, 0.82))
    if kind.disc:
        colour = kind.centre[rng.integers(len(kind.centre))]
        turns = np.linspace(0, math.tau, 24)
        circle = np.stack([np.cos(turns), np.sin(turns)], 1)
        edge = circle * radius * kind.disc @ tilt + at
        draw.polygon([tuple(p) for p in edge], fill=_shade(colour, light))
        for _ in range(40):
            r, a = radius * kind.disc * math.sqrt(rng.random()), rng.uniform(0, math.tau)
            x, y = np.array([math.cos(a), math.sin(a)]) * r @ tilt + at
            draw.point((x, y), fill=_shade(colour, light * rng.uniform(0.6, 1.3)))


def ground(side: int, rng: np.random.Generator) -> Image.Image:
    """Return grass, blurred leaves or a plain ground."""
    kind = rng.random()
    base = np.array([rng.uniform(30, 110), rng.uniform(90, 180), rng.uniform(20, 90)])
    if kind < 0.2:
        base = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.choice([0, 255]))
    cells = base + rng.normal(0, 0 if kind < 0.2 else 28, (12, 12, 1))
    cells = cells + rng.normal(0, 8, (12, 12, 3)) * (kind >= 0.2)
    image = Image.fromarray(cells.clip(0, 255).astype(np.uint8))
    image = image.resize((side, side), Image.Resampling.BICUBIC)
    if kind > 0.5:
        draw = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(120, 500))):
            x, y = rng.random(2) * side
            dx, dy = rng.normal(0, side * 0.04), -side * rng.uniform(0.05, 0.22)
            fill = _shade([float(c) for c in base], rng.uniform(0.5, 1.5))
            draw.line([x, y, x + dx, y + dy], fill=fill, width=int(rng.integers(1, 3 * SCALE)))
    return image.filter(ImageFilter.GaussianBlur(float(rng.choice([0, 1, 3, 6])) * SCALE / 2))


def picture(side: int, rng: np.random.Generator) -> tuple[np.ndarray, str, str]:
    """Draw one picture: uint8 ``[side, side, 3]``, its caption and the flower's name."""
    kind = SPECIES[rng.integers(len(SPECIES))]
    several = rng.random() < SHARE_SEVERAL
    large = side * SCALE
    image = ground(large, rng)
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(int(rng.integers(3, 14)) if several else 1):
        radius = large * (rng.uniform(0.06, 0.2) if several else rng.uniform(0.2, 0.48))
        room = radius * 0.6 if several else radius * 0.85
        at = rng.uniform(room, large - room, 2)
        if rng.random() < 0.7:
            foot = at + np.array([rng.normal(0, 0.15), rng.uniform(0.5, 1.2)]) * large
            width = max(1, round(radius * rng.uniform(0.06, 0.14)))
            draw.line([*at, *foot], fill=(80, int(rng.uniform(110, 170)), 60), width=width)
        head(draw, kind, at, radius, rng)
    image = image.resize((side, side), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
    words = kind.several if several else kind.one
    return np.asarray(image), words[rng.integers(len(words))], kind.one[0]
