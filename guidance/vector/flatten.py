"""Scene → line segments in pixels: the step both rasterisers share.

Every cubic becomes straight pieces between points evaluated on it, differentiable in its control
points. The number of pieces is Wang's bound: a cubic whose second differences are at most `M`
deviates from `n` equal pieces by at most ``0.75 * M / n²``
(G.-Z. Wang, "The subdivision method for finding the intersection between two Bézier curves or
surfaces", 1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.errors import DivergedError
from guidance.vector.scene import Scene

TOLERANCE = 0.1  # pixels between a cubic and its pieces, by a bound that is rarely reached
MIN_PIECES = 4  # the inner control points of a straight cubic need inner vertices for a gradient
MAX_PIECES = 256
MAX_COORDINATE = 1000.0  # canvas sides; farther points are moved here to keep arithmetic sane


@dataclass(frozen=True)
class Outline:
    """The flattened scene. Segment ``i`` runs from vertex ``first[i]`` to ``first[i] + 1``.

    Args:
        vertices: ``[V, 2]`` pixels, (0, 0) is the canvas' top left corner; carries gradient.
        first: ``[N]`` int64.
        offsets: ``[S + 1]`` int64: shape ``s`` owns segments ``offsets[s]`` to ``offsets[s + 1]``.
        radii: ``[S]`` half stroke widths in pixels, not negative; carries gradient.
    """

    vertices: Tensor
    first: Tensor
    offsets: Tensor
    radii: Tensor


def expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return owner and rank of ``sum(counts)`` items, where item group ``i`` has ``counts[i]``.

    Example:
        >>> expand(torch.tensor([2, 0, 3]))
        (tensor([0, 0, 2, 2, 2]), tensor([0, 1, 0, 1, 2]))
    """
    owner = torch.repeat_interleave(counts)
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(owner), device=counts.device) - starts[owner]
    return owner, rank


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """Return `x` limited to [low, high], with gradient at the limits themselves.

    `torch.clamp` has none there in recent versions, which would hold fast for ever every value
    that a projection has put on its limit, such as an opaque stroke's alpha of 1.
    """
    return torch.where(x < low, low, torch.where(x > high, high, x))


def flatten(scene: Scene, height: int, width: int) -> Outline:
    """Return the line segments of a non-empty `scene` on a canvas of height × width pixels.

    Raises:
        DivergedError: a point or width in use is NaN or infinite.
    """
    cubics, shape = _cubics(scene)
    if not bool(torch.isfinite(cubics.detach().sum()) & torch.isfinite(scene.widths.sum())):
        _check_finite(cubics, scene.widths)
    size = torch.tensor([width, height], dtype=cubics.dtype, device=cubics.device)
    cubics = bounded(cubics, -MAX_COORDINATE, MAX_COORDINATE) * size
    radii = bounded(scene.widths, 0.0, MAX_COORDINATE) * (min(height, width) / 2)
    margin = torch.where(scene.closed, 1.0, radii.detach() + 1.0)[shape]
    pieces = count_pieces(cubics.detach(), margin, size)

    owner, rank = expand(pieces + 1)
    t = (rank.to(cubics.dtype) / pieces[owner])[:, None]
    s = 1 - t
    p0, p1, p2, p3 = cubics.index_select(0, owner).unbind(1)  # each [V, 2]
    vertices = s**3 * p0 + 3 * s**2 * t * p1 + 3 * s * t**2 * p2 + t**3 * p3
    first = torch.nonzero(rank < pieces[owner]).squeeze(1)
    per_shape = torch.zeros_like(scene.counts).index_add(0, shape, pieces)
    offsets = torch.cat([per_shape.new_zeros(1), per_shape.cumsum(0)])
    return Outline(vertices, first, offsets, radii)


@torch.no_grad()
def count_pieces(cubics: Tensor, margin: Tensor, size: Tensor) -> Tensor:
    """Return the number of straight pieces for each cubic, [C] int64.

    A cubic that lies wholly beyond one side of the canvas is one piece: it covers no pixel, and
    a straight line in its place leaves the winding numbers of all pixels as they are.

    Args:
        cubics: ``[C, 4, 2]`` pixels.
        margin: ``[C]`` pixels, how far beyond its centre line a cubic can colour a pixel.
        size: ``[2]`` width and height of the canvas in pixels.
    """
    turns = cubics[:, :2] - 2 * cubics[:, 1:3] + cubics[:, 2:]
    bend = torch.linalg.vector_norm(turns, dim=2).amax(1)  # `norm` warns on a Mac
    pieces = (0.75 / TOLERANCE * bend).sqrt().ceil().clamp(MIN_PIECES, MAX_PIECES).long()
    low, high = cubics.aminmax(dim=1)
    outside = (high < -margin[:, None]) | (low > size + margin[:, None])
    return torch.where(outside.any(1), 1, pieces)


def _cubics(scene: Scene) -> tuple[Tensor, Tensor]:
    """Return control points ``[C, 4, 2]`` of all cubics and the shape ``[C]`` of each."""
    shape, rank = expand(scene.counts)
    index = 3 * rank[:, None] + torch.arange(4, device=rank.device)
    back_to_start = scene.closed[shape] & (rank == scene.counts[shape] - 1)
    index[:, 3] = torch.where(back_to_start, 0, index[:, 3])
    index = index + shape[:, None] * scene.points.shape[1]
    points = scene.points.reshape(-1, 2).index_select(0, index.reshape(-1))
    return points.reshape(-1, 4, 2), shape


def _check_finite(cubics: Tensor, widths: Tensor) -> None:
    # The sum that led here may also have overflowed from finite values: look closely.
    for name, x in (("points", cubics), ("widths", widths)):
        if not bool(torch.isfinite(x).all()):
            raise DivergedError(f"{name} must be finite but contain NaN or infinity")
