"""Image ``[B, 3, H, W]`` → augmented crops ``[B·N, 3, S, S]``, differentiable.

Crop, perspective, rotation, scale, shear and flip of one cut are composed into one homography and
all cuts are taken by ONE `grid_sample`; brightness, contrast, saturation and hue of one cut are
composed into one colour matrix. Large crops are read from a smaller copy of the image, all copies
side by side in one atlas, so that shrinking does not alias.

Crop size law: ``side = low + (1 - low) * u ** cut_power`` of the shorter side, u uniform, as in
VQGAN-CLIP (Crowson et al. 2022, arXiv:2204.08583, section 3.3). Overview cuts see the whole
shorter side, as disco-diffusion's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.conventions import check_images
from guidance.errors import InputError
from guidance.images.resize import resize
from guidance.objective.augmentations import (
    Changes,
    Dice,
    apply_changes,
    sample_changes,
    sample_warps,
)
from guidance.objective.cutout_options import AUGMENTATIONS, CutoutOptions


@dataclass(frozen=True)
class Cuts:
    """The random choices of N cuts; sampled once, applied in any number of batches.

    Attributes:
        homographies: ``[N, 3, 3]``, output square [-1, 1]² → canvas in units of its shorter side.
        sides: ``[N]`` side of each crop as a fraction of the shorter side.
        changes: what happens to their pixels.
    """

    homographies: Tensor
    sides: Tensor
    changes: Changes

    def __len__(self) -> int:
        return len(self.sides)

    def __getitem__(self, part: slice) -> Cuts:
        return Cuts(self.homographies[part], self.sides[part], self.changes[part])


def sample_cuts(
    options: CutoutOptions, height: int, width: int, *, generator: torch.Generator
) -> Cuts:
    """Draw the random choices of ``options.cuts`` cuts of an image of `height` × `width` pixels.

    Args:
        generator: on the CPU, so that every device gets the same cuts for the same seed.
    """
    dice = Dice(options.cuts, generator)
    strength = {n: options.strength if n in options.augment else 0.0 for n in AUGMENTATIONS}
    short = min(height, width)
    sides = options.min_cut + (1 - options.min_cut) * dice(0, 1) ** options.cut_power
    sides[: options.overview] = 1.0
    extent = torch.tensor([width / short, height / short])
    centres = sides[:, None] / 2 + dice(0, 1, 2) * (extent - sides[:, None])
    homographies = _place(sides, centres)
    for warp in sample_warps(dice, strength):
        homographies = homographies @ warp
    return Cuts(homographies, sides, sample_changes(dice, strength))


def apply_cuts(images: Tensor, cuts: Cuts, size: int) -> Tensor:
    """Take `cuts` from every image.

    Args:
        images: ``[B, 3, H, W]`` in [0, 1].
        cuts: N cuts sampled for this height and width.
        size: side of the crops, pixels.

    Returns:
        ``[B·N, 3, size, size]`` in [0, 1], all cuts of the first image first.
    """
    check_images("images", images)
    if len(cuts) == 0:
        raise InputError("cuts must not be empty")
    out = apply_changes(_resample(images, cuts, size), cuts.changes)
    return out.flatten(0, 1).clamp(0, 1)


def _resample(images: Tensor, cuts: Cuts, size: int) -> Tensor:
    """Return ``[B, 3, N, S, S]``: every cut through one `grid_sample` on an atlas of copies."""
    batch, _, height, width = images.shape
    n, short = len(cuts), min(height, width)
    minification = cuts.sides * short / size
    # half-octave copies; a cut reads the copy that leaves it shrunk by 0.9 to 1.3 times
    levels = (2 * minification.clamp(min=1).log2() + 0.25).floor().long()
    atlas, origins, shapes = _atlas(images, levels)

    axis = (torch.arange(size, dtype=torch.float32) + 0.5) * (2 / size) - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y, torch.ones_like(x)], -1).view(1, -1, 3)
    points = (grid.to(images.device) @ cuts.homographies.to(images.device).mT).view(n, -1, 3)
    points = points[..., :2] / points[..., 2:].clamp(min=1e-3)  # [N, S·S, 2], shorter side = 1
    scale = short / torch.tensor([width, height], dtype=torch.float32, device=images.device)
    # pixel position in the copy, clamped inside it: outside the canvas its border continues
    extent = shapes[levels].to(images.device)[:, None]  # [N, 1, 2] width, height of the copy
    pixels = torch.minimum((points * scale * extent).clamp(min=0.5), extent - 0.5)
    pixels = pixels + origins[levels].to(images.device)[:, None]
    whole = torch.tensor([atlas.shape[-1], atlas.shape[-2]], device=images.device)
    grid = (pixels * (2 / whole) - 1).to(images.dtype)

    # On the CPU grid_sample runs in parallel over the batch only, so the cuts are dealt out to
    # one (shared, not copied) atlas per thread.
    parts = 1
    if images.device.type == "cpu" and batch < torch.get_num_threads():
        parts = math.gcd(n, torch.get_num_threads())
    grid = grid.reshape(1, parts, n // parts * size, size, 2).expand(batch, -1, -1, -1, -1)
    source = atlas[:, None].expand(-1, parts, -1, -1, -1).reshape(-1, *atlas.shape[1:])
    out = F.grid_sample(source, grid.flatten(0, 1), align_corners=False, padding_mode="border")
    out = out.view(batch, parts, 3, n // parts, size, size).transpose(1, 2)
    return out.reshape(batch, 3, n, size, size)


def _atlas(images: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the copies needed side by side, and origin and size ``[L, 2]`` (x, y) of each."""
    height, width = images.shape[-2:]
    top = int(levels.max())
    needed = set(levels.tolist())
    origins, shapes = torch.zeros(top + 1, 2), torch.ones(top + 1, 2)
    copies, left = [], 0
    for level in sorted(needed):
        h, w = (max(1, round(side / 2 ** (level / 2))) for side in (height, width))
        copy = images
        if level:
            copy = resize(images, (h, w), mode="bilinear")
        origins[level], shapes[level] = torch.tensor([left, 0]), torch.tensor([w, h])
        copies.append(F.pad(copy, (0, 0, 0, height - h)) if len(needed) > 1 else copy)
        left += w
    return torch.cat(copies, dim=-1) if len(copies) > 1 else copies[0], origins, shapes


def _place(sides: Tensor, centres: Tensor) -> Tensor:
    """Return ``[N, 3, 3]``: the square [-1, 1]² → the crop of `sides` [N] at `centres` [N, 2]."""
    matrices = torch.diag_embed(torch.stack([sides / 2, sides / 2, torch.ones_like(sides)], -1))
    matrices[:, :2, 2] = centres
    return matrices


def batches(cuts: Cuts, per_batch: int | None) -> Sequence[Cuts]:
    """Split `cuts` into batches of at most `per_batch` cuts (all at once if None)."""
    step = per_batch or len(cuts)
    return [cuts[i : i + step] for i in range(0, len(cuts), step)]
