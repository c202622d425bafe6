"""Composed scenes: a named drawing in front of a place → picture and caption.

Captions of icons name one thing, captions of photos describe what cameras see; neither teaches "a
fox at sunrise". Here drawings stand before photos of a place, or before a drawn landscape with
its sky, ground and sun, or two of them share a plain background, and the caption says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from guidance.train import painterly

Colour = tuple[int, int, int]

PAIR_SHARE = 0.12  # scenes of two things
PLAIN_SHARE = 0.1  # things on a background of one named colour
PHOTO_SHARE = 0.5  # of the places that have photos, how often one of them is taken
PAINT_SHARE = 0.35  # scenes that are repainted
LEAST_WEIGHT = 0.7  # drawings sampled less than this are interface icons, not things
# Lexicographer files of WordNet (lexnames(5WN)) whose nouns are things one can see.
ANIMALS, OTHERS = {"05"}, {"06", "13", "17", "18", "20"}


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


def nouns_by_file(folder: Path) -> dict[str, str]:
    """Map WordNet's nouns in `folder` to the lexicographer file of their most frequent sense."""
    files = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if not line.startswith(" "):
            offset, number, _ = line.split(" ", 2)
            files[offset] = number
    out = {}
    for line in (folder / "index.noun").read_text().splitlines():
        if not line.startswith(" "):
            fields = line.split()
            out[fields[0].replace("_", " ")] = files[fields[6 + int(fields[3])]]
    return out


class Composer:
    """Makes scenes from `things` (name such as "a fox" → rows) and photos (label → rows).

    `chances` are the sampling weights of the things.
    """

    def __init__(self, drawings, photos, things: dict, chances: np.ndarray, rows: dict) -> None:
        self.drawings, self.photos = drawings, photos
        self.things, self.rows = list(things.items()), rows
        self.chances = np.cumsum(chances / chances.sum())

    def thing(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """Pick a thing, then one drawing of it; return that and the name."""
        pick = min(int(np.searchsorted(self.chances, rng.random())), len(self.things) - 1)
        name, rows = self.things[pick]
        return self.drawings[rng.choice(rows)], name

    def ground(self, place: Place, side: int, rng: np.random.Generator) -> np.ndarray:
        """Return a photo of `place` or a drawn one: float ``[side, side, 3]``."""
        rows = [r for label in place.photos for r in self.rows.get(label, ())]
        if rows and (not place.skies or rng.random() < PHOTO_SHARE):
            return self.photos[rng.choice(rows)].astype(float)
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


def compose(photos, drawings, texts, files: dict[str, str], count: int, rng):
    """Compose `count` scenes: uint8 ``[count, S, S, 3]`` and a caption of each.

    Args:
        photos: Pixels ``[N, S, S, 3]`` and columns of the photo table.
        drawings: Pixels ``[M, S, S, 4]`` and columns of the drawing table.
        texts: The captions that the columns point to.
        files: What `nouns_by_file` returns; only drawings named by a noun for something that can
            be seen take part, animals three times as often as the rest.
        count: Number of scenes.
        rng: Source of randomness.
    """
    (photo_pixels, photo_columns), (pixels, columns) = photos, drawings
    things: dict[str, list[int]] = {}
    kinds: dict[str, str] = {}
    for row, captions in enumerate(columns["captions"]):
        names = [texts[c] for c in captions]
        kind = files.get(names[0])
        templated = f"a drawing of {names[1]}" in names if len(names) > 1 else False
        if templated and columns["weight"][row] >= LEAST_WEIGHT and kind in ANIMALS | OTHERS:
            things.setdefault(names[1], []).append(row)
            kinds[names[1]] = kind
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(photo_columns["label"]):
        if photo_columns["split"][row] == "train" and label:
            rows.setdefault(label, []).append(row)
    if not things:
        return np.zeros((0, *np.shape(photo_pixels)[1:]), np.uint8), []
    chances = np.array([3.0 if kinds[name] in ANIMALS else 1.0 for name in things])
    composer = Composer(pixels, photo_pixels, things, chances, rows)
    made = [composer.scene(rng) for _ in range(count)]
    return np.stack([m[0] for m in made]), [m[1] for m in made]
