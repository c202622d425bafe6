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

from guidance.conventions import check_count, check_images, check_range
from guidance.errors import InputError, unknown

AUGMENTATIONS = ("perspective", "affine", "flip", "colour", "noise", "erase")
# the two-letter codes of VQGAN-CLIP's -aug, and the other spelling
ALIASES = {"Pe": "perspective", "Af": "affine", "Ro": "affine", "Hf": "flip", "Ji": "colour",
           "Gn": "noise", "Er": "erase", "color": "colour"}  # fmt: skip


@dataclass(frozen=True)
class CutoutOptions:
    """How an image is cut before CLIP looks at it.

    Attributes:
        cuts: number of crops of each image.
        overview: how many of them show the whole shorter side; None means 10, or all if fewer.
        cut_power: above 1 favours small crops, below 1 large ones.
        min_cut: side of the smallest crop as a fraction of the shorter side.
        augment: names out of `AUGMENTATIONS`.
        strength: scales every augmentation; 0 leaves plain crops.
    """

    cuts: int = 16
    overview: int | None = None
    cut_power: float = 1.0
    min_cut: float = 0.4
    augment: tuple[str, ...] = ("perspective", "affine", "colour", "noise")
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_count("cuts", self.cuts, 1, 4096)
        if self.overview is None:
            object.__setattr__(self, "overview", min(10, self.cuts))
        check_count("overview", self.overview, 0, self.cuts)
        check_range("cut_power", self.cut_power, 0, 100, above=True)
        check_range("min_cut", self.min_cut, 0, 1, above=True)
        check_range("strength", self.strength, 0, 4)
        names = tuple(dict.fromkeys(ALIASES.get(a, a) for a in self.augment))
        for name in names:
            if name not in AUGMENTATIONS:
                raise InputError(unknown("augmentation", name, [*AUGMENTATIONS, *ALIASES]))
        object.__setattr__(self, "augment", names)


@dataclass(frozen=True)
class Cuts:
    """The random choices of N cuts; sampled once, applied in any number of batches.

    Attributes:
        homographies: ``[N, 3, 3]``, output square [-1, 1]² → canvas in units of its shorter side.
        sides: ``[N]`` side of each crop as a fraction of the shorter side.
        colours: ``[N, 3, 4]`` colour matrix and offset.
        noise: ``[N]`` standard deviation of the noise.
        erase: ``[N, 4]`` left, top, right, bottom of the erased box in [0, 1]; empty if left=right.
        fill: ``[N]`` grey level of the erased box.
        seeds: one noise seed a cut, so that batching does not change the noise.
    """

    homographies: Tensor
    sides: Tensor
    colours: Tensor
    noise: Tensor
    erase: Tensor
    fill: Tensor
    seeds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.sides)

    def __getitem__(self, part: slice) -> Cuts:
        return Cuts(
            self.homographies[part],
            self.sides[part],
            self.colours[part],
            self.noise[part],
            self.erase[part],
            self.fill[part],
            self.seeds[part],
        )


def sample_cuts(
    options: CutoutOptions, height: int, width: int, *, generator: torch.Generator
) -> Cuts:
    """Draw the random choices of ``options.cuts`` cuts of an image of `height` × `width` pixels.

    Args:
        generator: on the CPU, so that every device gets the same cuts for the same seed.
    """
    n, k = options.cuts, options.strength
    short = min(height, width)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    def on(name: str) -> float:
        return k if name in options.augment else 0.0

    sides = options.min_cut + (1 - options.min_cut) * uniform(0, 1) ** options.cut_power
    sides[: options.overview] = 1.0
    extent = torch.tensor([width / short, height / short])
    centres = sides[:, None] / 2 + uniform(0, 1, 2) * (extent - sides[:, None])
    matrices = _place(sides, centres)
    matrices = matrices @ _affine(
        angles=uniform(-1, 1) * math.radians(15) * on("affine"),
        scales=1 + uniform(-0.1, 0.1) * on("affine"),
        shears=uniform(-0.1, 0.1) * on("affine"),
        shifts=uniform(-0.05, 0.05, 2) * on("affine"),
        flips=torch.where(uniform(0, 1) * bool(on("flip")) > 0.5, -1.0, 1.0),
    )
    # beyond 0.9 corners would cross
    jitter = (uniform(-0.3, 0.3, 4, 2) * on("perspective")).clamp(-0.9, 0.9)
    if on("perspective"):
        matrices = matrices @ _perspective(jitter)
    colours = _colour_matrices(uniform(-1, 1, 4) * on("colour"))
    boxes = _boxes(uniform(0, 1, 5), on("erase"))
    noise = uniform(0, 0.1) * on("noise")
    fill = uniform(0, 1)
    seeds = torch.randint(2**62, (n,), generator=generator).tolist()
    return Cuts(matrices, sides, colours, noise, boxes, fill, tuple(seeds))


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
    out = _resample(images, cuts, size)  # [B, 3, N, S, S]
    matrix = cuts.colours.to(out)
    out = torch.einsum("ndc,bcnhw->bndhw", matrix[..., :3], out) + matrix[:, :, 3, None, None]
    if cuts.noise.any():
        out = out + _noise(cuts, size, out) * cuts.noise.to(out).view(-1, 1, 1, 1)
    if (cuts.erase[:, 0] < cuts.erase[:, 2]).any():
        out = _erase(out, cuts)
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
            copy = F.interpolate(
                images, (h, w), mode="bilinear", antialias=True, align_corners=False
            )
        origins[level], shapes[level] = torch.tensor([left, 0]), torch.tensor([w, h])
        copies.append(F.pad(copy, (0, 0, 0, height - h)) if len(needed) > 1 else copy)
        left += w
    return torch.cat(copies, dim=-1) if len(copies) > 1 else copies[0], origins, shapes


def _place(sides: Tensor, centres: Tensor) -> Tensor:
    """Return ``[N, 3, 3]``: the square [-1, 1]² → the crop of `sides` [N] at `centres` [N, 2]."""
    matrices = torch.diag_embed(torch.stack([sides / 2, sides / 2, torch.ones_like(sides)], -1))
    matrices[:, :2, 2] = centres
    return matrices


def _affine(
    angles: Tensor, scales: Tensor, shears: Tensor, shifts: Tensor, flips: Tensor
) -> Tensor:
    """Return ``[N, 3, 3]``: rotation · shear · scale · flip, then a shift, all per cut."""
    matrices = torch.eye(3).repeat(len(angles), 1, 1)
    cos, sin = angles.cos() * scales, angles.sin() * scales
    matrices[:, 0, 0], matrices[:, 0, 1] = cos * flips, cos * shears - sin
    matrices[:, 1, 0], matrices[:, 1, 1] = sin * flips, sin * shears + cos
    matrices[:, :2, 2] = shifts
    return matrices


def _perspective(jitter: Tensor) -> Tensor:
    """Return ``[N, 3, 3]`` moving the corners of [-1, 1]² by `jitter` ``[N, 4, 2]``."""
    from kornia.geometry.transform import get_perspective_transform

    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    corners = corners.expand(len(jitter), -1, -1)
    return get_perspective_transform(corners, corners + jitter)


def _colour_matrices(u: Tensor) -> Tensor:
    """Return ``[N, 3, 4]`` from `u` ``[N, 4]`` in [-1, 1]: brightness, contrast, saturation, hue.

    Saturation blends with the luma (Rec. 601), hue turns the chroma plane of YIQ, contrast
    stretches about mid grey: linear forms of the usual adjustments, so that they compose.
    """
    brightness, contrast, saturation = (1 + 0.15 * u[:, :3]).unbind(-1)
    hue = 0.1 * math.pi * u[:, 3]
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # fmt: skip  # noqa: E501
    chroma = torch.zeros(len(u), 3, 3)
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1] = chroma[:, 2, 2] = saturation * hue.cos()
    chroma[:, 1, 2], chroma[:, 2, 1] = -saturation * hue.sin(), saturation * hue.sin()
    matrix = torch.linalg.inv(to_yiq) @ chroma @ to_yiq
    matrix = matrix * (brightness * contrast)[:, None, None]
    offset = (0.5 * (1 - contrast))[:, None, None].expand(-1, 3, 1)
    return torch.cat([matrix, offset], dim=-1)


def _boxes(u: Tensor, strength: float) -> Tensor:
    """Return erased boxes ``[N, 4]`` from uniform `u` ``[N, 5]``; half of the cuts have one."""
    area, log_ratio = (0.05 + 0.2 * u[:, 0]) * strength, (u[:, 1] * 2 - 1) * math.log(2)
    size = (area[:, None] * torch.stack([log_ratio.exp(), (-log_ratio).exp()], -1)).sqrt()
    size = size.clamp(max=0.8) * (u[:, 4:] < 0.5)
    corner = u[:, 2:4] * (1 - size)
    return torch.cat([corner, corner + size], dim=-1)


def _noise(cuts: Cuts, size: int, like: Tensor) -> Tensor:
    """Return ``[N, 3, S, S]`` Gaussian noise; the same for the same cut in any batch."""
    generator = torch.Generator(device=like.device)
    planes = []
    for seed in cuts.seeds:
        generator.manual_seed(seed)
        planes.append(torch.randn(3, size, size, generator=generator, device=like.device))
    return torch.stack(planes).to(like)


def _erase(out: Tensor, cuts: Cuts) -> Tensor:
    """Replace the box of each cut in ``[B, N, 3, S, S]`` by its grey level."""
    axis = (torch.arange(out.shape[-1], device=out.device) + 0.5) / out.shape[-1]
    left, top, right, bottom = cuts.erase.to(out)[:, :, None].unbind(1)  # [N, 1] each
    inside_x = (axis >= left) & (axis < right)
    inside_y = (axis >= top) & (axis < bottom)
    mask = (inside_y[:, :, None] & inside_x[:, None, :])[:, None]  # [N, 1, S, S]
    return torch.where(mask, cuts.fill.to(out).view(-1, 1, 1, 1), out)


def batches(cuts: Cuts, per_batch: int | None) -> Sequence[Cuts]:
    """Split `cuts` into batches of at most `per_batch` cuts (all at once if None)."""
    step = per_batch or len(cuts)
    return [cuts[i : i + step] for i in range(0, len(cuts), step)]
