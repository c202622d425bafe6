"""Pictures → batches of square patches."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from guidance.data import Samples
from guidance.train.samples import Lot, ahead, picture

ZOOM = (0.7, 1.5)  # enlargement of the pictures before a patch is cut


class PatchLoader:
    """Endless batches of patches ``[N, 3, side, side]`` in [0, 1].

    The patches of step t follow from the seed and t alone, so a resumed run sees what an
    uninterrupted one would. Transparent drawings are laid on white or a flat colour.

    Args:
        samples: pictures, captions are of no concern.
        weights: how often sources, groups and tags are shown, by pattern.
        side: of the patches, pixels.
        batch: patches in a step.
        seed: of everything random.
        workers: threads that decode.
    """

    def __init__(
        self,
        samples: Samples,
        weights: dict[str, float],
        side: int,
        batch: int,
        seed: int,
        workers: int = 2,
    ):
        self.samples, self.side, self.batch, self.seed = samples, side, batch, seed
        self.lot = Lot(samples, weights)
        self.pool = ThreadPoolExecutor(workers)

    def batches(self, step: int) -> Iterator[Tensor]:
        """Yield the batches from number `step` on."""

        def begin(number: int) -> list[Future]:
            return [self.pool.submit(self.patch, number, i) for i in range(self.batch)]

        for jobs in ahead(begin, step):
            pixels = np.stack([job.result() for job in jobs])
            yield torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255

    def patch(self, step: int, index: int) -> np.ndarray:
        """Return patch number `index` of step `step`, ``[side, side, 3]`` uint8."""
        rng = np.random.default_rng([self.seed, step, index])
        image = picture(self.samples, int(self.lot.draw(rng, 1)[0]))
        zoom = float(np.exp(rng.uniform(*np.log(ZOOM))))
        zoom = max(zoom, self.side / min(image.size))
        side = self.side / zoom
        left, top = (rng.uniform(0, max(0.0, n - side)) for n in image.size)
        image = _flat(image, rng)
        size, (width, height) = (self.side, self.side), image.size
        box = min(left, width), min(top, height), min(left + side, width), min(top + side, height)
        pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box))
        return pixels[:, ::-1].copy() if rng.random() < 0.5 else pixels


def _flat(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lay a transparent picture on white or, as often, on a random colour."""
    if image.mode != "RGBA":
        return image
    colour = (
        (255, 255, 255) if rng.random() < 0.5 else tuple(int(c) for c in rng.integers(256, size=3))
    )
    return Image.alpha_composite(Image.new("RGBA", image.size, (*colour, 255)), image).convert(
        "RGB"
    )
