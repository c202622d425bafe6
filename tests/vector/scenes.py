"""Random scenes for the tests of the rasteriser."""

import torch

from guidance.vector.scene import Scene


def make_scene(
    shapes: int,
    seed: int,
    *,
    closed: float = 0.5,
    widths: tuple[float, float] = (0.002, 0.08),
    spread: float = 0.2,
    opaque: bool = False,
    dtype: torch.dtype = torch.float64,
) -> Scene:
    """Return shapes of 1 to 3 cubics, a share of them `closed`, whose points walk by `spread`."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*size: int) -> torch.Tensor:
        return torch.rand(*size, generator=generator, dtype=torch.float64)

    points = torch.cat([uniform(shapes, 1, 2), (uniform(shapes, 9, 2) - 0.5) * spread], 1)
    colors = uniform(shapes, 4)
    if opaque:
        colors[:, 3] = 1
    scene = Scene(
        points=points.cumsum(1),
        widths=widths[0] + (widths[1] - widths[0]) * uniform(shapes),
        colors=colors,
        counts=torch.randint(1, 4, (shapes,), generator=generator),
        closed=uniform(shapes) < closed,
    )
    return scene.to(dtype=dtype)


def stroke(points, width: float = 0.1, colour=(0.0, 0.0, 0.0, 1.0), closed: bool = False) -> Scene:
    """Return a float64 scene of one shape from a list of control points."""
    return Scene(
        points=torch.tensor([points], dtype=torch.float64),
        widths=torch.tensor([width], dtype=torch.float64),
        colors=torch.tensor([colour], dtype=torch.float64),
        counts=torch.tensor([len(points) // 3]),
        closed=torch.tensor([closed]),
    )


def line(start, end, **options) -> Scene:
    """Return a straight stroke."""
    (ax, ay), (bx, by) = start, end
    thirds = [(ax + t * (bx - ax), ay + t * (by - ay)) for t in (0, 1 / 3, 2 / 3, 1)]
    return stroke(thirds, **options)


def polygon(corners, colour=(0.0, 0.0, 0.0, 1.0)) -> Scene:
    """Return a filled shape with straight sides."""
    points = []
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        points += [(ax + t * (bx - ax), ay + t * (by - ay)) for t in (0, 1 / 3, 2 / 3)]
    return stroke(points, colour=colour, closed=True)


def leaves(scene: Scene) -> list[torch.Tensor]:
    """Return points, widths and colours, from now on with gradient."""
    return [x.requires_grad_() for x in (scene.points, scene.widths, scene.colors)]
