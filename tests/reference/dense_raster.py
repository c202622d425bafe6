"""The rasteriser's model written out: every pixel against every piece of every shape, one by one.

Slow, and differentiated by autograd alone. It shares only the number of pieces per cubic with the
package, because that number decides which polygon stands for a curve.
"""

import torch
from torch import Tensor

from guidance.vector.flatten import count_pieces
from guidance.vector.scene import Scene


def dense_render(scene: Scene, height: int, width: int, background: Tensor) -> Tensor:
    """Return ``[1, 3, H, W]``; the arguments are those of `guidance.vector.raster.render`."""
    image = background.reshape(3, 1, 1).expand(3, height, width)
    for s in range(len(scene)):
        cover = shape_coverage(scene, s, height, width)
        colour = limit(scene.colors[s], 0, 1)
        alpha = cover * colour[3]
        image = image * (1 - alpha) + alpha * colour[:3, None, None]
    return image[None]


def shape_coverage(scene: Scene, s: int, height: int, width: int) -> Tensor:
    """Return the coverage ``[H, W]`` of shape `s`."""
    radius = limit(scene.widths[s], 0, 1000) * min(height, width) / 2
    a, b = polyline(scene, s, height, width, float(radius.detach()))
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = x.to(a.dtype), y.to(a.dtype)
    if scene.closed[s]:
        winding = sum(area_to_the_right(p, q, x, y) for p, q in zip(a, b, strict=True))
        return limit(winding.abs(), 0, 1)
    distances = [distance_to_segment(p, q, x + 0.5, y + 0.5) for p, q in zip(a, b, strict=True)]
    d = torch.stack(distances).amin(0)
    return limit(radius - d + 0.5, 0, 1) - limit(-radius - d + 0.5, 0, 1)


def polyline(scene: Scene, s: int, height: int, width: int, radius: float) -> tuple[Tensor, Tensor]:
    """Return the start points and end points ``[n, 2]`` of the pieces of shape `s`, in pixels."""
    size = torch.tensor([width, height], dtype=scene.points.dtype)
    starts, ends = [], []
    for k in range(int(scene.counts[s])):
        index = [3 * k, 3 * k + 1, 3 * k + 2, 3 * k + 3]
        if scene.closed[s] and k == scene.counts[s] - 1:
            index[3] = 0
        cubic = limit(scene.points[s, index], -1000, 1000) * size
        margin = torch.tensor([1.0 if scene.closed[s] else radius + 1.0], dtype=cubic.dtype)
        n = int(count_pieces(cubic.detach()[None], margin, size))
        on_curve = [de_casteljau(cubic, i / n) for i in range(n + 1)]
        starts += on_curve[:-1]
        ends += on_curve[1:]
    return torch.stack(starts), torch.stack(ends)


def de_casteljau(points: Tensor, t: float) -> Tensor:
    """Return the point at `t` of the Bézier curve with these control points."""
    while len(points) > 1:
        points = (1 - t) * points[:-1] + t * points[1:]
    return points[0]


def distance_to_segment(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the distance from each (x, y) to the segment a-b."""
    along = b - a
    length = along.dot(along)
    t = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / length if length > 0 else x * 0
    t = t.clamp(0, 1)
    squared = (x - a[0] - t * along[0]) ** 2 + (y - a[1] - t * along[1]) ** 2
    return torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)


def area_to_the_right(a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the signed area, in the pixels with corner (x, y), to the right of the segment a-b.

    It is the integral over height of how much of each horizontal line through the pixel lies to
    the right, counted positive where the segment goes down.
    """
    top, bottom = a[1].clamp(y, y + 1), b[1].clamp(y, y + 1)
    slope = (b[0] - a[0]) / (b[1] - a[1]) if b[1] != a[1] else torch.zeros(())
    room_top = x + 1 - (a[0] + (top - a[1]) * slope)
    room_bottom = x + 1 - (a[0] + (bottom - a[1]) * slope)
    run = room_bottom - room_top
    flat = run.abs() < 1e-9
    mean = (clamp_integral(room_bottom) - clamp_integral(room_top)) / torch.where(flat, 1, run)
    mean = torch.where(flat, ((room_top + room_bottom) / 2).clamp(0, 1), mean)
    return (bottom - top) * mean


def limit(x: Tensor, low: float, high: float) -> Tensor:
    """Return `x` limited to [low, high], with gradient at the limits themselves."""
    return torch.where(x < low, low, torch.where(x > high, high, x))


def clamp_integral(u: Tensor) -> Tensor:
    """Return the integral of ``clamp(v, 0, 1)`` over v from 0 to `u`."""
    return u.clamp(0, 1) ** 2 / 2 + (u - 1).clamp(min=0)
