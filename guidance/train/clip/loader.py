"""Samples → batches: crops with one caption each, decoded by threads ahead of time.

The rows, captions and augmentations of step t follow from the seed and t alone, so a resumed run
sees what an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from guidance.data import Samples
from guidance.train.clip.augment import AUGMENTATIONS
from guidance.train.clip.sections import SamplingOptions
from guidance.train.loop.chunks import Chunks
from guidance.train.samples import Lot, ahead, picture

ROOM = 9 / 8  # side of the canvas a picture is decoded to, as a multiple of the crops'


@dataclass(frozen=True)
class Batch:
    """One step's pictures; those without a caption come last.

    Attributes:
        clean: Crops ``[N, 3, s, s]`` before noise, blur and holes.
        images: The same crops as the student sees them.
        captions: Caption numbers ``[n]`` of the first n pictures.
        groups: Group of each of these; negative if it has none.
        sketches: How many at the very end the student drew itself.
    """

    clean: Tensor
    images: Tensor
    captions: Tensor
    groups: Tensor
    sketches: int = 0


@dataclass(frozen=True)
class Plan:
    """Rows and captions of a batch, and the seed of its augmentations."""

    rows: np.ndarray
    captions: np.ndarray
    groups: np.ndarray
    seed: int


class Loader:
    """Endless batches from `samples`.

    Args:
        samples: Pictures with captions.
        options: Batch size, augmentation and weights.
        size: Side of the crops in pixels.
        seed: Of everything random.
        chunks: Threads for the augmentation.
        device: Where the batches are made.
        part: Pictures augmented at once.
    """

    def __init__(
        self,
        samples: Samples,
        options: SamplingOptions,
        size: int,
        seed: int,
        chunks: Chunks,
        device: torch.device,
        part: int,
    ) -> None:
        self.samples, self.options, self.seed = samples, options, seed
        self.size, self.canvas = size, round(size * ROOM)
        self.chunks, self.device, self.part = chunks, device, part
        self.texts = samples.texts()
        number = {t: i for i, t in enumerate(self.texts)}
        self.captions = [[number[c] for c in s.captions] for s in samples]
        groups: dict[str, int] = {}
        self.groups = np.array(
            [groups.setdefault(s.group, len(groups)) if s.group else -1 for s in samples]
        )
        self.lot = Lot(samples, options.weights)
        self.pool = ThreadPoolExecutor(options.workers)

    def caption_groups(self) -> np.ndarray:
        """Return the group of each caption, -1 for those of none; int64 ``[T]``."""
        groups = np.full(len(self.texts), -1)
        for numbers, group in zip(self.captions, self.groups, strict=True):
            groups[numbers] = group
        return groups

    def batches(self, step: int) -> Iterator[Batch]:
        """Yield the batches from number `step` on."""

        def begin(number: int) -> tuple[Plan, list[Future]]:
            plan = self.plan(number)
            return plan, [self.pool.submit(self.decode, plan, i) for i in range(len(plan.rows))]

        for plan, pictures in ahead(begin, step):
            yield self.render(plan, [p.result() for p in pictures])

    def plan(self, step: int) -> Plan:
        """Draw rows, captions and the augmentations' seed for batch number `step`."""
        rng = np.random.default_rng([self.seed, step])
        rows = self.lot.draw(rng, self.options.batch)
        captioned = np.array([bool(self.captions[r]) for r in rows])
        rows = np.concatenate([rows[captioned], rows[~captioned]])
        own = [rng.choice(self.captions[r]) for r in rows[: captioned.sum()]]
        groups = self.groups[rows[: captioned.sum()]]
        return Plan(rows, np.array(own, int), groups, int(rng.integers(2**62)))

    def decode(self, plan: Plan, index: int) -> tuple[np.ndarray, bool]:
        """Decode one picture: premultiplied RGBA ``[S, S, 4]`` uint8, and whether it is clear.

        A long picture is cropped to a square somewhere.
        """
        centre = np.random.default_rng([plan.seed, index]).random(2)
        image = picture(self.samples, int(plan.rows[index]))
        clear = image.mode == "RGBA"
        image = image.convert("RGBA").convert("RGBa")
        side = (self.canvas, self.canvas)
        fitted = ImageOps.fit(image, side, Image.Resampling.BILINEAR, centering=tuple(centre))
        return np.asarray(fitted), clear

    def render(self, plan: Plan, pictures: list[tuple[np.ndarray, bool]]) -> Batch:
        """Augment decoded `pictures`."""
        augment = AUGMENTATIONS[self.options.augment]
        order = np.random.default_rng(plan.seed).permutation(len(pictures))
        parts = [order[i : i + self.part] for i in range(0, len(order), self.part)]

        def work(number: int) -> tuple[Tensor, Tensor]:
            part = parts[number]
            rng = torch.Generator(self.device).manual_seed(plan.seed ^ number)
            pixels = torch.from_numpy(np.stack([pictures[i][0] for i in part])).to(self.device)
            clear = torch.tensor([pictures[i][1] for i in part], device=self.device)
            x = pixels.permute(0, 3, 1, 2).float() / 255
            given = self.options
            return augment(x, clear, self.size, rng, given.min_crop, given.colour)

        done = self.chunks.map(work, range(len(parts)))
        back = torch.from_numpy(np.argsort(order)).to(self.device)
        clean, images = (torch.cat(views)[back] for views in zip(*done, strict=True))
        captions = torch.from_numpy(plan.captions).to(self.device)
        return Batch(clean, images, captions, torch.from_numpy(plan.groups).to(self.device))
