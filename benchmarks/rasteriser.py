"""Rendering strokes, forward and backward: ours beside the dense formulation and diffvg.

All contenders draw the same scenes in turn, in one process; each time is the least of several.
diffvg takes part where `pydiffvg` can be imported.

    python -m benchmarks.rasteriser --quick
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from guidance.vector.flatten import flatten
from guidance.vector.raster import render
from guidance.vector.scene import Scene

CANVAS = 224  # pixels, that of CLIPDraw
WHITE = (1.0, 1.0, 1.0)

Draw = Callable[[Scene], Tensor]  # scene -> [1, 3, CANVAS, CANVAS]


def strokes(n: int, widths: tuple[float, float], spread: float = 0.1) -> Scene:
    """Return `n` random open strokes of 1 to 3 cubics, `widths` in pixels."""
    generator = torch.Generator().manual_seed(n)
    moves = (torch.rand(n, 10, 2, generator=generator) - 0.5) * spread
    moves[:, 0] = torch.rand(n, 2, generator=generator)
    low, high = widths
    return Scene(
        points=moves.cumsum(1).requires_grad_(),
        widths=(low + (high - low) * torch.rand(n, generator=generator))
        .div(CANVAS)
        .requires_grad_(),
        colors=torch.rand(n, 4, generator=generator).requires_grad_(),
        counts=torch.randint(1, 4, (n,), generator=generator),
        closed=torch.zeros(n, dtype=torch.bool),
    )


def dense(scene: Scene) -> Tensor:
    """Draw every pixel against every line segment of every stroke, composite whole images.

    At its best: the nearest segment is found without gradient, one stroke at a time, so that
    neither memory nor the backward pass grows with the number of segments.
    """
    outline = flatten(scene, CANVAS, CANVAS)
    axis = torch.arange(CANVAS) + 0.5
    centres = torch.cartesian_prod(axis, axis).flip(1)  # [H * W, 2]
    image = torch.ones(3, CANVAS * CANVAS)
    bounds = outline.offsets.tolist()
    for s in range(len(scene)):
        first = outline.first[bounds[s] : bounds[s + 1]]
        a, b = outline.vertices[first], outline.vertices[first + 1]
        with torch.no_grad():
            best = torch.full((CANVAS * CANVAS,), torch.inf)
            nearest = torch.zeros(CANVAS * CANVAS, dtype=torch.int64)
            for i in range(len(first)):
                square = _square(centres, a[i], b[i])
                nearest[square < best] = i
                best = torch.minimum(best, square)
        d = (_square(centres, a[nearest], b[nearest]) + 1e-12).sqrt()
        radius = outline.radii[s]
        cover = (radius - d + 0.5).clamp(0, 1) - (0.5 - radius - d).clamp(0, 1)
        alpha = cover * scene.colors[s, 3]
        image = image * (1 - alpha) + alpha * scene.colors[s, :3, None]
    return image.reshape(1, 3, CANVAS, CANVAS)


def _square(q: Tensor, a: Tensor, b: Tensor) -> Tensor:
    (qx, qy), (ax, ay), (bx, by) = q.unbind(-1), a.unbind(-1), b.unbind(-1)
    dx, dy, px, py = bx - ax, by - ay, qx - ax, qy - ay
    t = ((px * dx + py * dy) / (dx * dx + dy * dy).clamp(min=1e-12)).clamp(0, 1)
    return (px - t * dx).square() + (py - t * dy).square()


def diffvg(scene: Scene) -> Tensor:
    """Draw with diffvg at its usual 2 × 2 samples per pixel."""
    import pydiffvg

    shapes, groups = [], []
    for s, count in enumerate(scene.counts.tolist()):
        path = pydiffvg.Path(
            num_control_points=torch.full((count,), 2, dtype=torch.int32),
            points=scene.points[s, : 3 * count + 1] * CANVAS,
            stroke_width=scene.widths[s] * CANVAS / 2,  # diffvg takes the half width
            is_closed=False,
        )
        shapes.append(path)
        groups.append(
            pydiffvg.ShapeGroup(
                shape_ids=torch.tensor([s]), fill_color=None, stroke_color=scene.colors[s]
            )
        )
    arguments = pydiffvg.RenderFunction.serialize_scene(CANVAS, CANVAS, shapes, groups)
    layer = pydiffvg.RenderFunction.apply(CANVAS, CANVAS, 2, 2, 0, None, *arguments)
    image = layer[..., 3:] * layer[..., :3] + (1 - layer[..., 3:])
    return image.permute(2, 0, 1)[None]


def contenders() -> dict[str, Draw]:
    """Return those that can run here."""
    found: dict[str, Draw] = {
        name: functools.partial(render, height=CANVAS, width=CANVAS, background=WHITE, backend=name)
        for name in ("numba", "torch")
    }
    found["dense"] = dense
    if importlib.util.find_spec("pydiffvg"):
        found["diffvg"] = diffvg
    return found


def milliseconds(draw: Draw, scene: Scene, cotangent: Tensor) -> tuple[float, float]:
    """Return the time of forward and of backward."""
    start = time.perf_counter()
    image = draw(scene)
    middle = time.perf_counter()
    torch.autograd.grad(image, (scene.points, scene.widths, scene.colors), cotangent)
    return 1e3 * (middle - start), 1e3 * (time.perf_counter() - middle)


def compare(scene: Scene, draws: dict[str, Draw], repeats: int) -> dict[str, tuple[float, float]]:
    """Return the least times of each contender, which take turns; slow ones get fewer of them."""
    cotangent = torch.randn(1, 3, CANVAS, CANVAS, generator=torch.Generator().manual_seed(0))
    for draw in draws.values():  # numba compiles or loads its kernels on first use
        milliseconds(draw, strokes(2, (1, 1)), cotangent)
    best = dict.fromkeys(draws, (float("inf"), float("inf")))
    for turn in range(repeats):
        for name, draw in draws.items():
            if turn and sum(best[name]) > 2000:
                continue
            times = milliseconds(draw, scene, cotangent)
            best[name] = tuple(map(min, best[name], times))
    return best


def covered(scene: Scene) -> int:
    """Return how many pixels the strokes cover, counted once per stroke."""
    node = render(scene, CANVAS, CANVAS, WHITE, backend="numba").grad_fn
    return sum(len(cover) for _, cover, _ in node.fragments)


def show_comparison(
    sizes: Sequence[int], widths: Sequence[tuple[int, int]], repeats: int, dense_limit: int
) -> None:
    """Print a row per number of strokes and range of widths.

    Beyond `dense_limit` strokes the dense formulation takes too long to wait for.
    """
    draws = contenders()
    peers = [name for name in draws if name not in ("numba", "torch")]
    head = [f"{name} fwd+bwd" for name in ("numba", "torch")] + peers
    head += [f"{peer}/{ours}" for peer in peers for ours in ("numba", "torch")]
    print(f"{CANVAS} x {CANVAS} pixels, forward+backward of one render in ms, and ratios")
    print(f"{'strokes':>8}{'width px':>10}" + "".join(f"{title:>17}" for title in head))
    for n in sizes:
        for low, high in widths:
            scene = strokes(n, (low, high))
            chosen = {k: v for k, v in draws.items() if k != "dense" or n <= dense_limit}
            best = compare(scene, chosen, repeats)
            total = {name: sum(times) for name, times in best.items()}
            cells = [f"{best[ours][0]:.1f}+{best[ours][1]:.1f}" for ours in ("numba", "torch")]
            cells += [f"{total[p]:.0f}" if p in total else "-" for p in peers]
            for peer in peers:
                for ours in ("numba", "torch"):
                    ratio = f"{total[peer] / total[ours]:.1f} x" if peer in total else "-"
                    cells.append(ratio)
            span = f"{low}" if low == high else f"{low}-{high}"
            print(f"{n:>8}{span:>10}" + "".join(f"{cell:>17}" for cell in cells), flush=True)


def show_growth(repeats: int) -> None:
    """Print how the cost follows the number of covered pixels at a fixed number of strokes."""
    draws = {name: draw for name, draw in contenders().items() if name in ("numba", "torch")}
    print("\n256 strokes, ever longer and wider: cost against covered pixels")
    print(f"{'covered px':>12}{'numba ms':>12}{'torch ms':>12}{'numba ns/px':>14}")
    for factor in (0.5, 1, 2, 4, 8):
        scene = strokes(256, (factor, 4 * factor), spread=0.05 * factor)
        best = {name: sum(times) for name, times in compare(scene, draws, repeats).items()}
        n = covered(scene)
        print(
            f"{n:>12}{best['numba']:>12.1f}{best['torch']:>12.1f}{1e6 * best['numba'] / n:>14.1f}",
            flush=True,
        )


def main(argv: list[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two sizes, one width, few repeats")
    quick = parser.parse_args(argv).quick
    if quick:
        show_comparison((64, 256), ((1, 10),), repeats=3, dense_limit=64)
    else:
        show_comparison((64, 256, 1024), ((1, 1), (1, 10), (1, 50)), repeats=10, dense_limit=256)
    show_growth(repeats=3 if quick else 10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
