"""Pictures → batches of square patches, and the network that tells real ones from made ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from guidance.data import Samples
from guidance.errors import FileError, InputError
from guidance.train.loader import AHEAD, factor

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
        shares = np.array([s.weight * factor(s, weights) for s in samples])
        if not len(shares) or not (shares > 0).any() or not np.isfinite(shares).all():
            raise InputError("weights: every picture has weight 0, or one has no finite weight")
        self.chances = np.cumsum(shares / shares.sum())
        self.pool = ThreadPoolExecutor(workers)

    def batches(self, step: int) -> Iterator[Tensor]:
        """Yield the batches from number `step` on."""
        ahead = []
        while True:
            while len(ahead) < AHEAD:
                jobs = [self.pool.submit(self.patch, step, i) for i in range(self.batch)]
                ahead.append(jobs)
                step += 1
            pixels = np.stack([job.result() for job in ahead.pop(0)])
            yield torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255

    def patch(self, step: int, index: int) -> np.ndarray:
        """Return patch number `index` of step `step`, ``[side, side, 3]`` uint8."""
        rng = np.random.default_rng([self.seed, step, index])
        row = min(int(np.searchsorted(self.chances, rng.random())), len(self.samples) - 1)
        try:
            image = self.samples.image(row)
        except FileError as error:
            warnings.warn(f"{error}; a gray one takes its place", stacklevel=2)
            image = Image.new("RGB", (8, 8), (128, 128, 128))
        zoom = float(np.exp(rng.uniform(*np.log(ZOOM))))
        zoom = max(zoom, self.side / min(image.size))
        side = self.side / zoom
        left, top = (rng.uniform(0, max(0.0, n - side)) for n in image.size)
        image = _flat(image, rng)
        size, box = (self.side, self.side), (left, top, left + side, top + side)
        box = tuple(min(b, n) for b, n in zip(box, (*image.size, *image.size), strict=True))
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


class PatchJudge(nn.Sequential):
    """Pictures ``[N, 3, H, W]`` in [-1, 1] → ``[N, 1, h, w]``: high where a patch looks real.

    Every output sees 34 pixels (Isola et al. 2017, "Image-to-Image Translation with Conditional
    Adversarial Networks", arXiv:1611.07004, section 3.2.2). Spectral normalisation (Miyato et al.
    2018, arXiv:1802.05957) takes the place of batch norms, which mix the pictures of a batch.
    """

    def __init__(self, width: int = 48):
        def conv(inside: int, outside: int, stride: int) -> nn.Module:
            return nn.utils.parametrizations.spectral_norm(
                nn.Conv2d(inside, outside, 4, stride, padding=1)
            )

        layers: list[nn.Module] = [conv(3, width, 2), nn.LeakyReLU(0.2)]
        layers += [conv(width, 2 * width, 2), nn.LeakyReLU(0.2)]
        layers += [conv(2 * width, 4 * width, 1), nn.LeakyReLU(0.2), conv(4 * width, 1, 1)]
        super().__init__(*layers)


def hinge(real: Tensor, made: Tensor) -> Tensor:
    """Return the judge's hinge loss (Lim and Ye 2017, arXiv:1705.02894)."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())
