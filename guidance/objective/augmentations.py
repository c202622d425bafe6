"""Augmentations of cutouts: how a cut is warped as it is taken, and how its pixels then change.

To add one: its name in `guidance.objective.cutout_options`; a warp in `sample_warps`; a change of
the pixels in `Changes`, `sample_changes` and `apply_changes`. Its random numbers are drawn after
those that are there, so that the same seed still gives these the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Changes:
    """What happens to the pixels of N cuts.

    Attributes:
        colours: ``[N, 3, 4]`` colour matrix and offset.
        noise: ``[N]`` standard deviation of the noise.
        erase: ``[N, 4]`` left, top, right, bottom of the erased box in [0, 1]; empty if left=right.
        fill: ``[N]`` grey level of the erased box.
        seeds: one noise seed a cut, so that batching does not change the noise.
    """

    colours: Tensor
    noise: Tensor
    erase: Tensor
    fill: Tensor
    seeds: tuple[int, ...]

    def __getitem__(self, part: slice) -> Changes:
        return Changes(
            self.colours[part],
            self.noise[part],
            self.erase[part],
            self.fill[part],
            self.seeds[part],
        )


@dataclass(frozen=True)
class Dice:
    """Uniform numbers for each of N cuts.

    Attributes:
        cuts: N.
        generator: on the CPU, so that every device gets the same numbers for the same seed.
    """

    cuts: int
    generator: torch.Generator

    def __call__(self, low: float, high: float, *shape: int) -> Tensor:
        """Return ``[N, *shape]`` numbers in [low, high)."""
        return low + (high - low) * torch.rand(self.cuts, *shape, generator=self.generator)


def sample_warps(dice: Dice, strength: Mapping[str, float]) -> list[Tensor]:
    """Draw homographies ``[N, 3, 3]`` of the square [-1, 1]², to be applied first to last.

    Args:
        strength: of each of `AUGMENTATIONS`, 0 for those that are not wanted.
    """
    warps = [
        affine(
            angles=dice(-1, 1) * math.radians(15) * strength["affine"],
            scales=1 + dice(-0.1, 0.1) * strength["affine"],
            shears=dice(-0.1, 0.1) * strength["affine"],
            shifts=dice(-0.05, 0.05, 2) * strength["affine"],
            flips=torch.where(dice(0, 1) * bool(strength["flip"]) > 0.5, -1.0, 1.0),
        )
    ]
    # beyond 0.9 corners would cross
    jitter = (dice(-0.3, 0.3, 4, 2) * strength["perspective"]).clamp(-0.9, 0.9)
    return [*warps, perspective(jitter)] if strength["perspective"] else warps


def sample_changes(dice: Dice, strength: Mapping[str, float]) -> Changes:
    """Draw what happens to the pixels; `strength` as for `sample_warps`."""
    colours = colour_matrices(dice(-1, 1, 4) * strength["colour"])
    erase = boxes(dice(0, 1, 5), strength["erase"])
    noise = dice(0, 0.1) * strength["noise"]
    fill = dice(0, 1)
    seeds = torch.randint(2**62, (dice.cuts,), generator=dice.generator).tolist()
    return Changes(colours, noise, erase, fill, tuple(seeds))


def apply_changes(crops: Tensor, changes: Changes) -> Tensor:
    """Change the pixels of crops of B images.

    Args:
        crops: ``[B, 3, N, S, S]`` in [0, 1].

    Returns:
        ``[B, N, 3, S, S]``, differentiable, not clipped.
    """
    matrix = changes.colours.to(crops)
    out = torch.einsum("ndc,bcnhw->bndhw", matrix[..., :3], crops) + matrix[:, :, 3, None, None]
    if changes.noise.any():
        out = out + _noise(changes, out) * changes.noise.to(out).view(-1, 1, 1, 1)
    if (changes.erase[:, 0] < changes.erase[:, 2]).any():
        out = _erase(out, changes)
    return out


def affine(angles: Tensor, scales: Tensor, shears: Tensor, shifts: Tensor, flips: Tensor) -> Tensor:
    """Return ``[N, 3, 3]``: rotation · shear · scale · flip, then a shift, all per cut."""
    matrices = torch.eye(3).repeat(len(angles), 1, 1)
    cos, sin = angles.cos() * scales, angles.sin() * scales
    matrices[:, 0, 0], matrices[:, 0, 1] = cos * flips, cos * shears - sin
    matrices[:, 1, 0], matrices[:, 1, 1] = sin * flips, sin * shears + cos
    matrices[:, :2, 2] = shifts
    return matrices


def perspective(jitter: Tensor) -> Tensor:
    """Return ``[N, 3, 3]`` moving the corners of [-1, 1]² by `jitter` ``[N, 4, 2]``."""
    from kornia.geometry.transform import get_perspective_transform

    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    corners = corners.expand(len(jitter), -1, -1)
    return get_perspective_transform(corners, corners + jitter)


def colour_matrices(u: Tensor) -> Tensor:
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


def boxes(u: Tensor, strength: float) -> Tensor:
    """Return erased boxes ``[N, 4]`` from uniform `u` ``[N, 5]``; half of the cuts have one."""
    area, log_ratio = (0.05 + 0.2 * u[:, 0]) * strength, (u[:, 1] * 2 - 1) * math.log(2)
    size = (area[:, None] * torch.stack([log_ratio.exp(), (-log_ratio).exp()], -1)).sqrt()
    size = size.clamp(max=0.8) * (u[:, 4:] < 0.5)
    corner = u[:, 2:4] * (1 - size)
    return torch.cat([corner, corner + size], dim=-1)


def _noise(changes: Changes, like: Tensor) -> Tensor:
    """Return ``[N, 3, S, S]`` Gaussian noise; the same for the same cut in any batch."""
    generator = torch.Generator(device=like.device)
    size, planes = like.shape[-1], []
    for seed in changes.seeds:
        generator.manual_seed(seed)
        planes.append(torch.randn(3, size, size, generator=generator, device=like.device))
    return torch.stack(planes).to(like)


def _erase(out: Tensor, changes: Changes) -> Tensor:
    """Replace the box of each cut in ``[B, N, 3, S, S]`` by its grey level."""
    axis = (torch.arange(out.shape[-1], device=out.device) + 0.5) / out.shape[-1]
    left, top, right, bottom = changes.erase.to(out)[:, :, None].unbind(1)  # [N, 1] each
    inside_x = (axis >= left) & (axis < right)
    inside_y = (axis >= top) & (axis < bottom)
    mask = (inside_y[:, :, None] & inside_x[:, None, :])[:, None]  # [N, 1, S, S]
    return torch.where(mask, changes.fill.to(out).view(-1, 1, 1, 1), out)
