"""Sources → shards: the splits, what is left out, what is derived, and the summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from guidance.data import Sample, Samples, shards
from guidance.data.shards import ShardWriter, encode
from guidance.files.writing import make_folder, write
from guidance.train.data import duplicates, emoji, flora, names, painterly, public, scenes, sources
from guidance.train.data.options import DataOptions
from guidance.train.data.prompts import made_up
from guidance.train.data.sources import SIDE
from guidance.train.data.wordnet import WordNet

# Bits of 256 in which a training picture may differ from a test picture and still count as a
# copy. Simple drawings of one thing look alike whoever drew them, so they get less.
PHOTO_DISTANCE, DRAWING_DISTANCE = 24, 8
HELD_OUT = {"flickr8k": "test_flickr", "imagenet-sample": "test_imagenet"}
PART = 1024  # pictures compared at a time
INK = "quickdraw"  # source of line drawings that come as pictures of black on white


def _render(job: sources.Job) -> tuple[bytes, np.ndarray] | None:
    image = sources.render_svg(job.svg)
    return None if image is None else (encode(image)[0], duplicates.difference_hash(image))


class Builder:
    """One build: options, hashes of the test pictures, and what was counted."""

    def __init__(self, options: DataOptions) -> None:
        self.options = options
        self.files = names.nouns(options.wordnet)
        self.counts: dict[str, Counter] = {}
        self.dropped = 0
        self.known: list[np.ndarray] = []  # hashes of photos, and of what is held out

    def writer(self, name: str) -> ShardWriter:
        """Return a writer of shards called `name`."""
        return ShardWriter(self.options.out, name)

    def add(self, writer: ShardWriter, sample: Sample, picture: bytes, ending: str) -> None:
        """Write one sample and count it by source and licence."""
        writer.add(sample, picture, ending)
        count = self.counts.setdefault(writer.name, Counter())
        count[f"{sample.source} ({sample.licence})"] += 1

    def photos(self) -> None:
        """Split the photos, drop copies of test photos, and write both parts and the doodles."""
        given = shards.read(self.options.photos)
        inked = [i for i, s in enumerate(given) if s.source == INK]
        rows = [i for i, s in enumerate(given) if s.source != INK]
        rng, held = np.random.default_rng(self.options.seed), {}
        for source, option in HELD_OUT.items():
            own = [i for i in rows if given[i].source == source]
            held[source] = sorted(rng.permutation(own)[: getattr(self.options, option)].tolist())
        hashes = {i: duplicates.difference_hash(given.image(i)) for i in rows}
        for source, test in held.items():
            with self.writer(f"test-{source}") as writer:
                for i in test:
                    self.add(writer, _unique(given[i], i), *given.raw(i))
        outside = set().union(*held.values())
        self.known = list(hashes.values())
        # small sets cut pictures to squares
        self.known += [duplicates.difference_hash(_cut(given.image(i))) for i in sorted(outside)]
        train = [i for i in rows if i not in outside]
        copies = self._copies(
            [hashes[i] for i in train], [hashes[i] for i in outside], PHOTO_DISTANCE
        )
        with self.writer("photos") as writer:
            for i, copy in zip(train, copies, strict=True):
                if not copy:
                    self.add(writer, _unique(given[i], i), *given.raw(i))
        with self.writer("drawings-ink") as writer:
            for i in inked:
                sample = replace(_unique(given[i], i), group=given[i].captions[0])
                self.add(writer, sample, *encode(sources.ink(given.image(i))))

    def named(self, snapshots: Path) -> None:
        """Write pictures of classes from public repositories; those known already are dropped."""
        found = public.pictures(snapshots, WordNet(self.options.wordnet))
        known = np.array(self.known)
        with self.writer("named") as writer:
            while part := list(islice(found, PART)):
                hashes = [duplicates.difference_hash(image) for _, image in part]
                copies = self._copies(hashes, known, PHOTO_DISTANCE)
                for (sample, image), copy in zip(part, copies, strict=True):
                    if not copy:
                        self.add(writer, sample, *encode(image))

    def drawings(self) -> None:
        """Render icons and clip art; those like a test drawing are dropped."""
        jobs, tests = [], []
        if self.options.iconify:
            jobs += sources.icon_jobs(self.options.iconify, self.files)
            tests = list(sources.test_jobs(self.options.iconify))
        if self.options.clip_art:
            jobs += sources.clip_art_jobs(self.options.clip_art, self.files)
        with ProcessPoolExecutor(self.options.workers) as pool:
            test, made = (
                [(job.sample, result) for job, result in pairs if result]
                for pairs in (
                    zip(todo, pool.map(_render, todo, chunksize=32), strict=True)
                    for todo in (tests, jobs)
                )
            )
        copies = self._copies([r[1] for _, r in made], [r[1] for _, r in test], DRAWING_DISTANCE)
        with self.writer(f"test-{sources.TEST_SET}") as writer:
            for sample, (png, _) in test:
                self.add(writer, sample, png, "png")
        with self.writer("drawings") as writer:
            for (sample, (png, _)), copy in zip(made, copies, strict=True):
                if not copy:
                    self.add(writer, sample, png, "png")
            if self.options.stamps:
                for image, sample in sources.stamps(self.options.stamps, self.files):
                    self.add(writer, sample, *encode(image))
            if self.options.emoji_3d and self.options.iconify:
                given = self.options.emoji_3d, self.options.iconify
                for image, sample in emoji.emoji_3d(*given, self.files):
                    self.add(writer, sample, *encode(image))

    def _copies(self, hashes: list, tests: list | np.ndarray, distance: int) -> np.ndarray:
        empty = np.zeros((0, duplicates.BITS), np.int8)
        others = np.asarray(tests) if len(tests) else empty
        found = duplicates.near(np.array(hashes or empty), others, distance)
        self.dropped += int(found.sum())
        return found

    def flowers(self) -> None:
        """Write flowers that are drawn here."""
        rng = np.random.default_rng([self.options.seed, 5])
        with self.writer("flowers") as writer:
            for n in range(self.options.flowers):
                pixels, caption, name = flora.picture(SIDE, rng)
                sample = Sample(f"flower-{n:05}", (caption,), "flowers", "MIT", group=name)
                self.add(writer, sample, *encode(Image.fromarray(pixels)))

    def derived(self, photos: Samples, drawings: Samples) -> None:
        """Write repainted pictures, composed scenes and clutter."""
        options = self.options
        with self.writer("painted") as writer:
            made = repaint([p for p in (photos, drawings) if len(p)], options)
            for sample, image in made:
                self.add(writer, sample, *encode(image))
        rng = np.random.default_rng([options.seed, 1])
        composed = scenes.Composer(drawings, photos).scenes(options.scenes, rng)
        with self.writer("scenes") as writer:
            for n, (pixels, caption) in enumerate(composed):
                terms = "as the drawings and photos in it"
                sample = Sample(f"scene-{n:05}", (caption,), "scenes", terms, group=caption)
                self.add(writer, sample, *encode(Image.fromarray(pixels)))
        rng = np.random.default_rng([options.seed, 2])
        with self.writer("clutter") as writer:
            for n in range(options.clutter):
                sample = Sample(f"clutter-{n:05}", (), "clutter", "none")
                self.add(writer, sample, *encode(Image.fromarray(painterly.clutter(SIDE, rng))))

    def texts(self, given: Samples) -> None:
        """Write the texts without pictures; the made-up prompts use the names of drawings."""
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

        things = [s.group for s in given if s.tags and s.group]
        rng = np.random.default_rng([self.options.seed, 3])
        classes = list(IMAGENET_CLASSNAMES)
        texts = made_up(self.options.wordnet, [*classes, *things], self.options.texts, rng)
        texts += [*classes, *(names.photo_of(n) for n in classes)]
        write(self.options.out / "texts.txt", "\n".join(dict.fromkeys(texts)) + "\n")

    def summary(self) -> None:
        """Write and print what was built."""
        options = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self.options).items()}
        content: dict[str, Any] = {
            "options": options,
            "near-duplicates of test pictures left out": self.dropped,
        }
        content["pictures"] = {n: dict(c.most_common()) for n, c in self.counts.items()}
        write(self.options.out / "summary.json", json.dumps(content, indent=2) + "\n")
        for name, count in self.counts.items():
            print(f"{name:24} {count.total():7,} pictures")
        print(f"near-duplicates of test pictures left out: {self.dropped}")


def _cut(image: Image.Image) -> Image.Image:
    """Return the square in the middle of a picture."""
    side = min(image.size)
    return ImageOps.fit(image, (side, side))


def _unique(sample: Sample, row: int) -> Sample:
    """Give a photo a key of its own among all sources; a class it is named by is its group."""
    few = len(sample.captions) <= 3
    group = sample.group or (sample.captions[0] if few and sample.captions else "")
    return replace(sample, key=f"{row:06}", group=group)


def repaint(pools: list[Samples], options: DataOptions) -> Iterator[tuple[Sample, Image.Image]]:
    """Yield ``options.painted`` pictures repainted, from each of `pools` in turn."""
    rng = np.random.default_rng([options.seed, 4])
    for n in range(options.painted if pools else 0):
        pool = pools[n % len(pools)]
        i = int(rng.integers(len(pool)))
        sample, image = pool[i], pool.image(i)
        captions = sample.captions
        if image.mode == "RGBA":
            white = rng.random() < 0.5
            ground = (255, 255, 255) if white else tuple(int(c) for c in rng.integers(0, 256, 3))
            image = Image.alpha_composite(Image.new("RGBA", image.size, ground), image)
            if sample.group and sample.group == captions[0]:
                captions = (*captions, f"a painting of {names.with_article(sample.group)}")
        pixels = painterly.paint(_square(image), rng)
        sample = replace(sample, key=f"painted-{n:05}", captions=captions, weight=1.0)
        yield sample, Image.fromarray(pixels)


def _square(image: Image.Image) -> np.ndarray:
    return np.asarray(ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.BICUBIC))


def build(options: DataOptions) -> None:
    """Build all shards in ``options.out``."""
    options.check()
    make_folder(options.out)
    builder = Builder(options)
    if options.photos:
        builder.photos()
    if options.snapshots:
        builder.named(options.snapshots)
    builder.drawings()
    photos, drawings = (_built(options.out, name) for name in ("photos", "drawings"))
    builder.derived(photos, drawings)
    builder.flowers()
    builder.texts(drawings)
    builder.summary()


def _built(folder: Path, name: str) -> Samples:
    return shards.read([str(p) for p in sorted(folder.glob(f"{name}-*.tar"))])
