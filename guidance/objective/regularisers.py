"""Objectives that look at the picture alone: smoothness, likeness, saturation, palette.

They are added to the prompts' objective with a weight::

    objective = guide("a fox at sunrise") + 0.5 * Smoothness() - 0.1 * Saturation()
"""

from __future__ import annotations

import torch
from torch import Tensor

from guidance.conventions import check_images, check_shape
from guidance.errors import InputError
from guidance.objective.prompted import Evaluation, Objective

# the chroma below which `Saturation` lets go: a root has an infinite slope at 0
NEARLY_GREY = 0.01


class Smoothness(Objective):
    """Total variation: mean squared difference of neighbouring pixels."""

    name = "smoothness"

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Return the mean over both directions."""
        across, down = image.diff(dim=-1), image.diff(dim=-2)
        loss = across.pow(2).mean() + down.pow(2).mean()
        return Evaluation(loss, {self.name: loss.detach()})


class Likeness(Objective):
    """Mean squared error to a target image of the same size.

    Args:
        target: ``[1, 3, H, W]`` in [0, 1].
        mask: ``[1, 1, H, W]``, how much each pixel counts, at least 0; None for all alike. The
            loss is the weighted mean, so that a small area pulls as hard as the whole picture.
    """

    name = "likeness"

    def __init__(self, target: Tensor, mask: Tensor | None = None):
        check_images("target", target)
        if mask is not None:
            check_shape("mask", mask, [1, 1, *target.shape[-2:]])
            if not bool((mask >= 0).all() & (mask.sum() > 0)):
                raise InputError("mask must be at least 0 everywhere and above 0 somewhere")
            mask = mask / mask.mean()
        self.target = target
        self.mask = mask

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Return the mean over pixels and channels."""
        if image.shape[-2:] != self.target.shape[-2:]:
            got, want = list(image.shape[-2:]), list(self.target.shape[-2:])
            raise InputError(f"image must have the target's size {want} but has {got}")
        error = (image - self.target.to(image)).pow(2)
        loss = (error if self.mask is None else error * self.mask.to(image)).mean()
        return Evaluation(loss, {self.name: loss.detach()})


class Saturation(Objective):
    """Pull towards vivid colours, or towards grey with a negative weight.

    The chroma of a pixel is its distance from its own grey, ``s = √(3/2 · Σ(c − mean c)²)``: 0 for
    greys, 1 for the six pure hues (red, yellow, … magenta), nowhere more. The loss is 1 minus the
    mean of ``s`` over the pixels, rounded off below ``s ≈ 0.01``: a grey pixel, which has no hue
    to grow, has no gradient.
    """

    name = "saturation"

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Return 1 minus the mean chroma: 0 for pure hues, 1 for greys."""
        squared = 1.5 * (image - image.mean(dim=1, keepdim=True)).pow(2).sum(dim=1)
        soft = (squared + NEARLY_GREY**2).sqrt() - NEARLY_GREY
        loss = 1 - soft.mean() / ((1 + NEARLY_GREY**2) ** 0.5 - NEARLY_GREY)
        return Evaluation(loss, {self.name: loss.detach()})


class PaletteDistance(Objective):
    """Mean squared error of every pixel to the palette colour nearest to it.

    Args:
        palette: ``[P, 3]`` RGB in [0, 1].
    """

    name = "palette"

    def __init__(self, palette: Tensor):
        check_shape("palette", palette, ["P", 3])
        if not len(palette):
            raise InputError("palette must have at least one colour but has none")
        self.palette = palette

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Return the mean over pixels and channels."""
        loss = (image - nearest_colours(image, self.palette)).pow(2).mean()
        return Evaluation(loss, {self.name: loss.detach()})


def weighted(*parts: tuple[float, Objective]) -> Objective | None:
    """Return the sum of objectives times their weights; None if every weight is 0."""
    kept = [weight * objective for weight, objective in parts if weight]
    return sum(kept[1:], kept[0]) if kept else None


@torch.no_grad()
def nearest_colours(image: Tensor, palette: Tensor) -> Tensor:
    """Return `image` with every pixel replaced by the nearest colour of `palette`, no gradient.

    Memory does not grow with the palette. Of colours equally near the first wins.

    Args:
        image: ``[B, 3, H, W]``.
        palette: ``[P, 3]``, at least one.
    """
    palette = palette.to(image)
    best = torch.full_like(image[:, 0], torch.inf)
    nearest = torch.zeros_like(best, dtype=torch.long)
    for index, colour in enumerate(palette):
        distance = (image - colour.view(1, 3, 1, 1)).pow(2).sum(dim=1)
        closer = distance < best
        best = torch.where(closer, distance, best)
        nearest.masked_fill_(closer, index)
    return palette[nearest].permute(0, 3, 1, 2)
