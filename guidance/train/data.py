"""Pictures and captions → training arrays.

Writes into ``--out``:

    photos.npy    uint8 [N, S, S, 3]  photos and paintings
    drawings.npy  uint8 [M, S, S, 4]  icons, clip art and doodles, premultiplied RGBA
    painted.npy   uint8 [P, S, S, 3]  photos and drawings repainted with strokes and the like
    scenes.npy    uint8 [K, S, S, 3]  drawings in front of places (see `guidance.train.scenes`)
    clutter.npy   uint8 [C, S, S, 3]  pictures of nothing, with no caption
    index.json    {"texts": [...], "photos"/"drawings"/"painted"/"scenes": columns of the tables}

The columns are ``captions`` (lists of indices into texts), ``group`` (pictures of one group are
positives of each other), ``source``, ``licence``, ``weight``, ``split``, ``key`` and ``label``.
Held out as split "test": ``--test-flickr`` photos of Flickr8k and ``--test-imagenet`` of ImageNet.

    python -m guidance.train.data --iconify iconify-json/package --shards "data/*.tar" --out arrays
"""

from __future__ import annotations

import glob
import json
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from guidance.errors import InputError
from guidance.train import painterly, scenes, sources
from guidance.train.sources import SIDE, Picture

DRAWING_TEMPLATES = ("{name}", "{a}", "a drawing of {a}", "a picture of {a}", "an emoji of {a}")
PAINTED_TEMPLATE = "a painting of {a}"


@dataclass(frozen=True)
class DataOptions:
    """Options of ``python -m guidance.train.data``; a source whose path is empty is left out."""

    out: Path
    """Folder for the arrays."""
    iconify: Path | None = None
    """Unpacked npm package ``@iconify/json``."""
    clip_art: Path | None = None
    """The ``svg`` folder of Open Clip Art (Debian: /usr/share/openclipart/svg)."""
    stamps: Path | None = None
    """The Tux Paint stamps (Debian: /usr/share/tuxpaint/stamps)."""
    shards: str = ""
    """Pattern of WebDataset tar files with photos, art and sketches."""
    wordnet: Path = Path("/usr/share/wordnet")
    """WordNet dictionary folder; its nouns decide which clip-art titles are words."""
    test_flickr: int = 1000
    """Flickr8k photos held out."""
    test_imagenet: int = 300
    """ImageNet photos held out."""
    painted: int = 12000
    """Pictures to repaint, half photos and half drawings."""
    scenes: int = 14000
    """Scenes to compose."""
    clutter: int = 2500
    """Pictures of nothing."""
    seed: int = 0
    """Seed of the split and of the painted and cluttered pictures."""
    workers: int = 2
    """Processes that render SVG."""


def with_article(name: str) -> str:
    """Put "a" or "an" before a name that can take it.

    Example:
        >>> with_article("owl"), with_article("red apple"), with_article("scissors")
        ('an owl', 'a red apple', 'scissors')
    """
    if name.endswith("s") and not name.endswith(("ss", "us", "is")):
        return name
    return ("an " if name[0] in "aeiou" else "a ") + name


def nouns(folder: Path) -> set[str]:
    """Return WordNet's nouns, lower case, with spaces for underscores."""
    lines = (folder / "index.noun").read_text().splitlines()
    return {line.split(" ", 1)[0].replace("_", " ") for line in lines if not line.startswith(" ")}


class Table:
    """Rows of pictures that share a list of texts; `columns` is what goes into index.json."""

    def __init__(self, texts: dict[str, int]) -> None:
        self.texts = texts
        self.pixels: list[np.ndarray] = []
        names = ("captions", "group", "source", "licence", "weight", "split", "key", "label")
        self.columns: dict[str, list] = {name: [] for name in names}

    def text(self, caption: str) -> int:
        """Return the index of `caption`, adding it if it is new."""
        return self.texts.setdefault(caption, len(self.texts))

    def add(self, picture: Picture, split: str = "train") -> None:
        """Append one picture; templated names become several captions."""
        captions: Iterable[str] = picture.captions
        if picture.templated:
            captions = [
                t.format(name=c, a=with_article(c)) for c in captions for t in DRAWING_TEMPLATES
            ]
        alone = len(picture.captions) > 3 and not picture.templated
        group = f"#{picture.key}" if alone else picture.captions[0]
        row = {
            "captions": [self.text(c) for c in captions],
            "group": self.text(group) if not alone else -1 - len(self.pixels),
            "split": split,
        }
        for name, column in self.columns.items():
            column.append(row[name] if name in row else getattr(picture, name))
        self.pixels.append(picture.pixels)


def _render(job: tuple) -> Picture | None:
    svg, captions, source, licence, weight = job
    pixels = sources.render_svg(svg)
    if pixels is None:
        return None
    return Picture(pixels, captions, source, licence, weight, templated=source != "openclipart")


def collect(options: DataOptions) -> tuple[Table, Table]:
    """Read and render every source: (photos, drawings)."""
    texts: dict[str, int] = {}
    photos, drawings = Table(texts), Table(texts)
    for path in sorted(glob.glob(options.shards)):
        for picture in sources.shard(Path(path)):
            (drawings if picture.pixels.shape[-1] == 4 else photos).add(picture)
    jobs: list[tuple] = []
    if options.iconify:
        jobs += sources.icon_jobs(options.iconify)
    if options.clip_art:
        jobs += sources.clip_art_jobs(options.clip_art, nouns(options.wordnet))
    with ProcessPoolExecutor(options.workers) as pool:
        for picture in pool.map(_render, jobs, chunksize=32):
            if picture is not None:
                drawings.add(picture)
    if options.stamps:
        for picture in sources.stamps(options.stamps):
            drawings.add(picture)
    return photos, drawings


def hold_out(photos: Table, source: str, count: int, rng: np.random.Generator) -> None:
    """Mark `count` random photos of `source` as split "test"."""
    rows = [i for i, s in enumerate(photos.columns["source"]) if s == source]
    for i in rng.permutation(rows)[:count]:
        photos.columns["split"][i] = "test"


def repaint(
    photos: Table, drawings: Table, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """Repaint `count` training pictures: (pixels ``[P, S, S, 3]``, columns)."""
    pixels = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    columns: dict[str, list] = {name: [] for name in photos.columns}
    pools = [
        [i for i, s in enumerate(table.columns["split"]) if s == "train"]
        for table in (photos, drawings)
    ]
    names = list(photos.texts)
    for n in range(count):
        table, pool = (photos, drawings)[n % 2], pools[n % 2]
        i = int(rng.choice(pool))
        image = table.pixels[i]
        if image.shape[-1] == 4:
            ground = 255 if rng.random() < 0.5 else rng.integers(0, 256, 3)
            image = image[..., :3] + (1 - image[..., 3:] / 255) * ground
            image = image.clip(0, 255).astype(np.uint8)
        pixels[n] = painterly.paint(np.ascontiguousarray(image), rng)
        for name, column in columns.items():
            column.append(table.columns[name][i])
        group = table.columns["group"][i]
        if n % 2 and not names[group].startswith("a "):
            caption = PAINTED_TEMPLATE.format(a=with_article(names[group]))
            columns["captions"][-1] = [*columns["captions"][-1], photos.text(caption)]
    return pixels, columns


def compose(photos: Table, drawings: Table, options: DataOptions) -> tuple[np.ndarray, dict]:
    """Compose the scenes: (pixels ``[K, S, S, 3]``, columns); then favour drawings of things."""
    tables = [(table.pixels, table.columns) for table in (photos, drawings)]
    rng = np.random.default_rng([options.seed, 1])
    pixels, captions = np.zeros((0, SIDE, SIDE, 3), np.uint8), []
    if options.scenes:
        files = scenes.nouns_by_file(options.wordnet)
        pixels, captions = scenes.compose(*tables, list(photos.texts), files, options.scenes, rng)
        favour_things(drawings, files)
    numbers = [photos.text(caption) for caption in captions]
    columns = {name: [""] * len(numbers) for name in photos.columns}
    columns |= {"captions": [[n] for n in numbers], "group": numbers}
    return pixels, columns | {"weight": [1.0] * len(numbers), "split": ["train"] * len(numbers)}


def favour_things(drawings: Table, files: dict[str, str]) -> None:
    """Weigh drawings of animals 6 times and of other visible things 1.5 times.

    `files` is what `guidance.train.scenes.nouns_by_file` returns.
    """
    names = list(drawings.texts)
    for row, captions in enumerate(drawings.columns["captions"]):
        kind = files.get(names[captions[0]])
        factor = 6.0 if kind in scenes.ANIMALS else 1.5 if kind in scenes.OTHERS else 1.0
        drawings.columns["weight"][row] *= factor


def build(options: DataOptions) -> None:
    """Build all arrays and the index in ``options.out``."""
    if not (options.iconify or options.clip_art or options.stamps or options.shards):
        raise InputError("name at least one source: --iconify, --clip-art, --stamps or --shards")
    options.out.mkdir(parents=True, exist_ok=True)
    rng, start = np.random.default_rng(options.seed), time.perf_counter()
    photos, drawings = collect(options)
    hold_out(photos, "flickr8k", options.test_flickr, rng)
    hold_out(photos, "imagenet-sample", options.test_imagenet, rng)
    painted, columns = repaint(photos, drawings, options.painted, rng)
    clutter = [painterly.clutter(SIDE, rng) for _ in range(options.clutter)]
    composed, scene_columns = compose(photos, drawings, options)
    for name, array, shape in (
        ("photos", photos.pixels, 3),
        ("drawings", drawings.pixels, 4),
        ("painted", painted, 3),
        ("scenes", composed, 3),
        ("clutter", clutter, 3),
    ):
        stack = np.stack(array) if len(array) else np.zeros((0, SIDE, SIDE, shape), np.uint8)
        np.save(options.out / f"{name}.npy", stack)
    index = {
        "texts": list(photos.texts),
        "photos": photos.columns,
        "drawings": drawings.columns,
        "painted": columns,
        "scenes": scene_columns,
    }
    (options.out / "index.json").write_text(json.dumps(index))
    for name, table in (("photos", photos), ("drawings", drawings)):
        print(name, dict(Counter(table.columns["source"])))
    print(f"{len(photos.texts)} texts, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    import tyro

    build(tyro.cli(DataOptions))
