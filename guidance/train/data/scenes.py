"""Composed scenes: a named drawing in front of a place → picture and caption.

Captions of icons name one thing, captions of photos describe what cameras see; neither teaches "a
fox at sunrise". Here drawings stand before photos of a place, or before a drawn landscape with
its sky, ground and sun, or two of them share a plain background, and the caption says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from guidance.data import Samples
from guidance.train.data import painterly
from guidance.train.data.names import with_article

Colour = tuple[int, int, int]

PAIR_SHARE = 0.12  # scenes of two things
PLAIN_SHARE = 0.1  # things on a background of one named colour
PHOTO_SHARE = 0.5  # of the places that have photos, how often one of them is taken
PAINT_SHARE = 0.35  # scenes that are repainted
LEAST_WEIGHT = 0.7  # drawings sampled less than this are interface icons, not things
ANIMALS = 3.0  # how much more often an animal is taken than another thing


@dataclass(frozen=True)
class Place:
    """One kind of place: phrases for a caption, photo labels, and colours to draw it with."""

    phrases: tuple[str, ...]
    photos: tuple[str, ...] = ()
    skies: tuple[tuple[Colour, Colour], ...] = ()  # top and horizon
    grounds: tuple[Colour, ...] = ()
    sun: Colour | None = None


BLUE = ((90, 160, 240), (200, 230, 255))
PLACES = (
    Place(
        ("{} at sunrise", "{} at sunset", "{} at dawn", "{} in the evening sun"), ("sunrise",),
        (((250, 120, 60), (255, 220, 110)), ((130, 70, 140), (255, 150, 70)),
         ((240, 90, 90), (255, 200, 80)), ((70, 80, 150), (255, 170, 120))),
        ((60, 50, 40), (40, 70, 60), (90, 60, 50), (50, 60, 100)), (255, 240, 150),
    ),
    Place(
        ("{} at night", "{} under the stars", "{} in the moonlight"), (),
        (((10, 10, 40), (40, 40, 110)), ((0, 0, 0), (40, 20, 70))),
        ((10, 20, 20), (20, 30, 50)), (245, 245, 225),
    ),
    Place(
        ("{} in a field", "{} on green grass", "{} in a meadow", "{} on a sunny day"), ("shine",),
        (BLUE, ((60, 130, 220), (170, 210, 250))), ((80, 170, 60), (110, 190, 80), (60, 140, 50)),
        (255, 230, 90),
    ),
    Place(
        ("{} by the sea", "{} at sea", "{} on the water"), ("sea",), (BLUE,),
        ((30, 100, 190), (40, 140, 180)),
    ),
    Place(
        ("{} on a beach", "{} in the desert", "{} in the sand"), (), (BLUE,),
        ((230, 200, 130), (220, 180, 110)), (255, 240, 160),
    ),
    Place(
        ("{} in the snow", "{} in winter"), ("glacier",),
        (((150, 180, 220), (230, 240, 250)),), ((245, 248, 255),),
    ),
    Place(("{} in a forest", "{} in the woods"), ("forests",)),
    Place(("{} in the mountains", "{} in front of a mountain"), ("mountains",)),
    Place(("{} in the city", "{} in a street"), ("street", "buildings")),
    Place(("{} in the rain", "{} on a rainy day"), ("rain",)),
    Place(("{} under a cloudy sky", "{} in the clouds"), ("cloudy",)),
    Place(("{} under a blue sky", "{} in the sky"), (), (BLUE, ((40, 110, 220), (150, 200, 250)))),
)  # fmt: skip
COLOURS: dict[str, Colour] = {
    "red": (220, 40, 40), "green": (50, 160, 60), "blue": (40, 80, 210), "yellow": (250, 220, 50),
    "orange": (250, 140, 30), "purple": (130, 50, 160), "pink": (250, 160, 190),
    "black": (10, 10, 10), "white": (255, 255, 255), "gray": (130, 130, 130),
}  # fmt: skip


def landscape(place: Place, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `place` from its colours: float ``[side, side, 3]`` in [0, 255]."""
    top, low = (np.array(c, float) for c in place.skies[rng.integers(len(place.skies))])
    y, x = np.mgrid[:side, :side] / side
    horizon = rng.uniform(0.55, 0.85) if place.grounds else 1.0
    canvas = top + (low - top) * np.clip(y / horizon, 0, 1)[..., None]
    if place.sun and rng.random() < 0.7:
        distance = np.hypot(x - rng.uniform(0.1, 0.9), y - rng.uniform(0.1, horizon))
        canvas[distance < rng.uniform(0.05, 0.13)] = place.sun
    if place.grounds:
        ground = np.array(place.grounds[rng.integers(len(place.grounds))], float)
        wave = rng.uniform(0, 0.05) * np.sin(x * rng.uniform(2, 9) + rng.uniform(0, 6))
        canvas[y > horizon + wave] = ground
    return (canvas + rng.normal(0, 12, 3)).clip(0, 255)


def put(canvas: np.ndarray, drawing: np.ndarray, span: tuple[float, float], size, rng) -> None:
    """Paste premultiplied RGBA `drawing` into `canvas`, left edge somewhere in `span` (0 to 1).

    `size` is the range of its side as a fraction of the canvas; it stands below the middle rather
    than above, and is mirrored half of the time.
    """
    side = canvas.shape[0]
    new = round(rng.uniform(*size) * side)
    image = Image.fromarray(drawing).resize((new, new), Image.Resampling.BOX)
    layer = np.asarray(image)[:, :: rng.choice([-1, 1])].astype(float)
    x = round((span[0] + rng.random() * max(span[1] - span[0] - new / side, 0)) * side)
    y = round(rng.beta(3, 2) * (side - new))
    x = min(x, side - new)
    area = canvas[y : y + new, x : x + new]
    area *= 1 - layer[..., 3:] / 255
    area += layer[..., :3]


class Composer:
    """Makes scenes from drawings of things and photos of places.

    Only drawings named by a noun for something that can be seen take part (tag "animal" or
    "thing"), animals more often than the rest.
    """

    def __init__(self, drawings: Samples, photos: Samples) -> None:
        self.drawings, self.photos = drawings, photos
        things: dict[str, list[int]] = {}
        weights: dict[str, float] = {}
        for row, sample in enumerate(drawings):
            if sample.tags and sample.group and sample.weight >= LEAST_WEIGHT:
                things.setdefault(sample.group, []).append(row)
                weights[sample.group] = ANIMALS if "animal" in sample.tags else 1.0
        self.things = list(things.items())
        chances = np.cumsum([weights[name] for name in things])
        self.chances = chances / chances[-1] if things else chances
        self.rows: dict[str, list[int]] = {}
        for row, sample in enumerate(photos):
            if sample.label:
                self.rows.setdefault(sample.label, []).append(row)

    def scenes(self, count: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, str]]:
        """Yield `count` scenes, uint8 ``[S, S, 3]``, with captions; none if nothing is drawn."""
        for _ in range(count if self.things else 0):
            yield self.scene(rng)

    def thing(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """Pick a thing, then one drawing of it; return premultiplied pixels and the name."""
        pick = min(int(np.searchsorted(self.chances, rng.random())), len(self.things) - 1)
        name, rows = self.things[pick]
        image = self.drawings.image(int(rng.choice(rows)))
        return np.asarray(image.convert("RGBA").convert("RGBa")), with_article(name)

    def ground(self, place: Place, side: int, rng: np.random.Generator) -> np.ndarray:
        """Return a photo of `place` or a drawn one: float ``[side, side, 3]``."""
        rows = [r for label in place.photos for r in self.rows.get(label, ())]
        if rows and (not place.skies or rng.random() < PHOTO_SHARE):
            photo = self.photos.image(int(rng.choice(rows))).convert("RGB")
            return np.asarray(ImageOps.fit(photo, (side, side))).astype(float)
        colours = place if place.skies else PLACES[2]
        return landscape(colours, side, rng)

    def scene(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """Compose one scene: uint8 ``[S, S, 3]`` and its caption."""
        drawing, name = self.thing(rng)
        side, kind = len(drawing), rng.random()
        if kind < PAIR_SHARE:
            other, second = self.thing(rng)
            canvas = np.full((side, side, 3), rng.uniform(200, 255), float)
            put(canvas, drawing, (0, 0.5), (0.4, 0.55), rng)
            put(canvas, other, (0.5, 1), (0.4, 0.55), rng)
            caption = f"{name} and {second}"
        elif kind < PAIR_SHARE + PLAIN_SHARE:
            colour = list(COLOURS)[rng.integers(len(COLOURS))]
            canvas = np.full((side, side, 3), COLOURS[colour], float) + rng.normal(0, 12, 3)
            put(canvas, drawing, (0, 1), (0.5, 0.9), rng)
            caption = f"{name} on a {colour} background".replace("a orange", "an orange")
        else:
            place = PLACES[rng.integers(len(PLACES))]
            canvas = self.ground(place, side, rng)
            put(canvas, drawing, (0, 1), (0.4, 0.85), rng)
            caption = place.phrases[rng.integers(len(place.phrases))].format(name)
        pixels = canvas.clip(0, 255).astype(np.uint8)
        return (painterly.paint(pixels, rng) if rng.random() < PAINT_SHARE else pixels), caption
