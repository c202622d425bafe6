"""Line segments → fragments in PyTorch: which pixels each shape covers, and how much.

A fragment is one pixel of one shape. Everything that decides which fragments there are runs
without gradient; the coverages are then computed again, for these fragments only, with gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.vector.flatten import Outline, bounded, expand


@dataclass(frozen=True)
class Fragments:
    """F pixels covered by shapes, in no particular order.

    Args:
        shape: ``[F]`` int64, index of the shape.
        pixel: ``[F]`` int64, row * width + column.
        coverage: ``[F]`` in [0, 1], carries gradient.
    """

    shape: Tensor
    pixel: Tensor
    coverage: Tensor

    @classmethod
    def cat(cls, parts: list[Fragments]) -> Fragments:
        """Return the fragments of all `parts`."""
        return cls(*(torch.cat([getattr(p, n) for p in parts]) for n in cls.__annotations__))


@dataclass(frozen=True)
class _Spans:
    """Per (shape, row), the columns from its leftmost to its rightmost covered pixel, end to end.

    Args:
        low: ``[S * H]`` first column.
        start: ``[S * H]`` where the span begins when all are laid end to end.
        length: ``[S * H]`` number of pixels, 0 where the shape is not.
    """

    low: Tensor
    start: Tensor
    length: Tensor

    @classmethod
    def around(cls, key: Tensor, low: Tensor, high: Tensor, keys: int, width: int) -> _Spans:
        """Return the hull of intervals ``[low, high]`` per key; empty ones do not count."""
        key, low, high = (x[low <= high] for x in (key, low, high))
        first = key.new_full((keys,), width).scatter_reduce(0, key, low, "amin")
        last = key.new_full((keys,), -1).scatter_reduce(0, key, high, "amax")
        length = (last - first + 1).clamp(min=0)
        return cls(first, length.cumsum(0) - length, length)

    def pixels(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return shape and pixel of every place in the spans."""
        key, rank = expand(self.length)
        shape = key // height
        return shape, (key - shape * height) * width + self.low[key] + rank


def stroke_fragments(outline: Outline, closed: Tensor, height: int, width: int) -> Fragments:
    """Return the fragments of all open shapes, from the distance to their nearest segment."""
    spans, solid, nearest = _nearest_segments(outline, closed, height, width)
    shape, pixel = spans.pixels(height, width)
    keep = torch.nonzero(solid | (nearest >= 0)).squeeze(1)
    shape, pixel, solid, nearest = shape[keep], pixel[keep], solid[keep], nearest[keep]
    coverage = torch.ones_like(shape, dtype=outline.radii.dtype)

    edge = torch.nonzero(~solid).squeeze(1)
    start = outline.first[nearest[edge]]
    a = outline.vertices.index_select(0, start)
    b = outline.vertices.index_select(0, start + 1)
    distance = _squared_distance(_centres(pixel[edge], width, a.dtype), a, b)
    # A pixel centre on the curve has distance 0, where the root has no slope; nor has coverage.
    distance = torch.where(distance > 0, distance, 1.0).sqrt() * (distance > 0)
    radius = outline.radii.index_select(0, shape[edge])
    covered = bounded(radius - distance + 0.5, 0.0, 1.0) - bounded(
        0.5 - radius - distance, 0.0, 1.0
    )
    return Fragments(shape, pixel, coverage.index_copy(0, edge, covered))


def fill_fragments(outline: Outline, closed: Tensor, height: int, width: int) -> Fragments:
    """Return the fragments of all closed shapes, from the area inside each pixel.

    The winding number of a pixel, averaged over its area, is a sum over segments of the area to
    their right; its derivative is an integral along the segments inside the pixel alone, for
    what lies to the left of the pixel cancels around the path.
    """
    place, piece, inside, spans, total = _swept_pixels(outline, closed, height, width)
    a, b, t0, t1, left = piece
    with torch.no_grad():
        x0 = left + 1 - (a[:, 0] + t0 * (b - a)[:, 0])
        x1 = left + 1 - (a[:, 0] + t1 * (b - a)[:, 0])
        area = (t1 - t0) * (b - a)[:, 1] * mean_of_clamp(x0, x1)
        winding = area.new_zeros(total).index_add(0, place, area)
        tiny = 64 * torch.finfo(area.dtype).eps  # rounding left over where windings cancel
        keep = torch.nonzero(winding.abs() > tiny).squeeze(1)
        edge = torch.nonzero(inside).squeeze(1)

    moved = _boundary_motion(*(x[edge] for x in piece))
    # The motion is zero in value: it adds the derivative and leaves the winding as it is.
    winding = winding + torch.zeros_like(winding).index_add(0, place[edge], moved)
    shape, pixel = spans.pixels(height, width)
    return Fragments(shape[keep], pixel[keep], bounded(winding[keep].abs(), 0.0, 1.0))


@torch.no_grad()
def _nearest_segments(
    outline: Outline, closed: Tensor, height: int, width: int
) -> tuple[_Spans, Tensor, Tensor]:
    """Return spans and, per pixel of them, whether it is wholly inside and its nearest segment.

    The segment is -1 for a pixel out of reach. Distances are only measured for pixels that some
    segment covers partly: the rest of a wide stroke is found by intervals.
    """
    a, b, shape, segment = _segments(outline, ~closed)
    reach = outline.radii[shape] + 0.5
    low, high = torch.minimum(a[:, 1], b[:, 1]), torch.maximum(a[:, 1], b[:, 1])
    owner, row = _rows((low - reach - 0.5).ceil(), (high + reach - 0.5).floor(), height)
    a, b, reach, segment = a[owner], b[owner], reach[owner], segment[owner]
    key = shape[owner] * height + row
    y = row.to(a.dtype) + 0.5
    out_low, out_high = _columns(*_capsule_row(a, b, reach, y), width)
    in_low, in_high = _columns(*_capsule_row(a, b, reach - 1, y), width)
    hollow = in_low > in_high  # then every pixel belongs to the left part
    in_low, in_high = (
        torch.where(hollow, out_high + 1, in_low),
        torch.where(hollow, out_high, in_high),
    )

    spans = _Spans.around(key, out_low, out_high, len(closed) * height, width)
    base = spans.start[key] - spans.low[key]
    total = int(spans.length.sum())
    solid = base.new_zeros(total + 1)
    full = torch.nonzero(~hollow).squeeze(1)
    one = torch.ones_like(full)
    solid.index_add_(0, (base + in_low)[full], one).index_add_(0, (base + in_high + 1)[full], -one)
    solid = solid.cumsum(0)[:-1] > 0

    left = (in_low - out_low).clamp(min=0)
    right = (out_high - in_high).clamp(min=0)
    pair, rank = expand(torch.where(out_low <= out_high, left + right, 0))
    column = out_low[pair] + rank + torch.where(rank < left[pair], 0, (in_high - in_low + 1)[pair])
    place = base[pair] + column
    open_ = torch.nonzero(~solid[place]).squeeze(1)
    pair, column, place = pair[open_], column[open_], place[open_]
    centre = torch.stack([column.to(a.dtype) + 0.5, y[pair]], 1)
    distance = _squared_distance(centre, a[pair], b[pair])
    best = distance.new_full((total,), torch.inf).scatter_reduce(0, place, distance, "amin")
    # Of equally near segments, which share a vertex, take the last: any fixed choice will do.
    wins = torch.nonzero((distance == best[place]) & (distance < reach[pair] ** 2)).squeeze(1)
    nearest = place.new_full((total,), -1)
    nearest = nearest.scatter_reduce(0, place[wins], segment[pair[wins]], "amax")
    return spans, solid, nearest


def _swept_pixels(outline: Outline, closed: Tensor, height: int, width: int):
    """Return every (segment, pixel) where the pixel is on the segment or to its right in a span.

    Returns:
        Place of the pixel in the spans; the piece (a, b, t0, t1, column), where the segment from
        `a` to `b` is in the pixel's row from parameter t0 to t1; whether the piece passes through
        the pixel itself; the spans; and their total length.
    """
    with torch.no_grad():
        a, b, shape, segment = _segments(outline, closed)
        low, high = torch.minimum(a[:, 1], b[:, 1]), torch.maximum(a[:, 1], b[:, 1])
        owner, row = _rows(low.floor(), high.floor(), height)
        a, b, segment = a[owner], b[owner], segment[owner]
        key = shape[owner] * height + row
        t0, t1 = _crossing(a[:, 1], b[:, 1], row.to(a.dtype))
        x0, x1 = (a[:, 0] + t * (b[:, 0] - a[:, 0]) for t in (t0, t1))
        left = torch.minimum(x0, x1).floor().clamp(0, width).long()
        right = torch.maximum(x0, x1).floor().clamp(-1, width - 1).long()
        spans = _Spans.around(
            key, left.clamp(max=width - 1), right.clamp(min=0), len(closed) * height, width
        )
        end = spans.low[key] + spans.length[key]
        pair, rank = expand((end - left).clamp(min=0))
        column = left[pair] + rank
        place = (spans.start - spans.low)[key[pair]] + column
        inside = column <= right[pair]
        start = outline.first[segment[pair]]
    a = outline.vertices.index_select(0, start)
    b = outline.vertices.index_select(0, start + 1)
    piece = (a, b, t0[pair], t1[pair], column.to(a.dtype))
    return place, piece, inside, spans, int(spans.length.sum())


def _boundary_motion(a: Tensor, b: Tensor, t0: Tensor, t1: Tensor, left: Tensor) -> Tensor:
    """Return 0 with the derivative of a pixel's winding: the area its piece sweeps when it moves.

    A point at parameter t moves with ``(1 - t) da + t db``, and a piece of length ds that moves
    across itself sweeps ``cross(move, direction) ds``.
    """
    with torch.no_grad():
        edge = b - a
        in0, in1 = _crossing(a[:, 0], b[:, 0], left)
        t0, t1 = torch.maximum(t0, in0), torch.minimum(t1, in1)
        span = (t1 - t0).clamp(min=0)
        weight_b = span * (t0 + t1) / 2
        weight_a = span - weight_b
    move = weight_a[:, None] * (a - a.detach()) + weight_b[:, None] * (b - b.detach())
    return move[:, 1] * edge[:, 0] - move[:, 0] * edge[:, 1]


def mean_of_clamp(u0: Tensor, u1: Tensor) -> Tensor:
    """Return the mean of ``clamp(u, 0, 1)`` for `u` running evenly from `u0` to `u1`."""
    low, high = torch.minimum(u0, u1), torch.maximum(u0, u1)
    width = high - low
    steep = width < torch.finfo(u0.dtype).eps ** 0.5
    inner = (high.clamp(0, 1) ** 2 - low.clamp(0, 1) ** 2) / 2
    mean = (inner + (high - 1).clamp(min=0)) / torch.where(steep, 1.0, width)
    # Both ends beyond 1 must give exactly 1, not a quotient of two rounded differences.
    mean = torch.where(low >= 1, 1.0, mean)
    return torch.where(steep, ((low + high) / 2).clamp(0, 1), mean)


def _segments(outline: Outline, of_shapes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return start, end, shape and index of the segments of the shapes chosen by a mask."""
    shape = torch.repeat_interleave(outline.offsets.diff())
    index = torch.nonzero(of_shapes[shape]).squeeze(1)
    start = outline.first[index]
    vertices = outline.vertices.detach()
    return vertices[start], vertices[start + 1], shape[index], index


def _rows(first: Tensor, last: Tensor, height: int) -> tuple[Tensor, Tensor]:
    """Return owner and row for every row of the canvas from `first` to `last` of each owner."""
    first = first.clamp(0, height).long()
    last = last.clamp(-1, height - 1).long()
    owner, rank = expand((last - first + 1).clamp(min=0))
    return owner, first[owner] + rank


def _columns(left: Tensor, right: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return first and last column whose centre is in [left, right], first > last if none."""
    first = (left - 0.5).ceil().clamp(0, width).long()
    return first, (right - 0.5).floor().clamp(-1, width - 1).long()


def _capsule_row(a: Tensor, b: Tensor, r: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return from where to where the line at height `y` is within `r` of the segment a-b.

    The region is convex: each side is an end disc or the straight edge between the discs.
    Nowhere within reach gives (inf, -inf).
    """
    edge = b - a
    length = torch.linalg.vector_norm(edge, dim=1)
    unit = edge / torch.where(length > 0, length, 1.0)[:, None]
    left, right = torch.full_like(y, torch.inf), torch.full_like(y, -torch.inf)
    for end in (a, b):
        room = r**2 - (y - end[:, 1]) ** 2
        hit = (room >= 0) & (r > 0)
        half = room.clamp(min=0).sqrt()
        left = torch.where(hit, torch.minimum(left, end[:, 0] - half), left)
        right = torch.where(hit, torch.maximum(right, end[:, 0] + half), right)
    sign = torch.where(unit[:, 1] >= 0, 1.0, -1.0)
    across, down = r * unit[:, 1].abs(), -r * unit[:, 0] * sign  # r times the normal to the right
    safe = torch.where(edge[:, 1] == 0, 1.0, edge[:, 1])
    for side in (-1, 1):
        t = (y - a[:, 1] - side * down) / safe
        x = a[:, 0] + side * across + t * edge[:, 0]
        hit = (t >= 0) & (t <= 1) & (edge[:, 1] != 0) & (r > 0)
        left = torch.where(hit, torch.minimum(left, x), left)
        right = torch.where(hit, torch.maximum(right, x), right)
    return left, right


def _crossing(a: Tensor, b: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Return from where to where, t0 <= t1 in [0, 1], ``a + t (b - a)`` is in [low, low + 1]."""
    run = b - a
    safe = torch.where(run == 0, 1.0, run)
    enter, leave = (low - a) / safe, (low + 1 - a) / safe
    t0 = torch.where(run == 0, 0.0, torch.minimum(enter, leave).clamp(0, 1))
    t1 = torch.where(run == 0, 1.0, torch.maximum(enter, leave).clamp(0, 1))
    return t0, t1


def _squared_distance(q: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return the squared distance of each point `q` to its segment a-b, all ``[n, 2]``."""
    edge = b - a
    length = (edge * edge).sum(1)
    t = ((q - a) * edge).sum(1) / torch.where(length > 0, length, 1.0)
    away = a + t.clamp(0, 1)[:, None] * edge - q
    return (away * away).sum(1)


def _centres(pixel: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    return torch.stack([pixel % width, pixel // width], 1).to(dtype) + 0.5
