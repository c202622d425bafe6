"""The rasteriser's fast path on the CPU: compiled kernels run on strips of rows by threads.

The threads are Python's own: unlike numba's or OpenMP's pools they survive a fork and may be used
from several threads at once. Compilation takes ten seconds once; later processes load the kernels
from numba's cache, which is beside the package or, where that is read-only, in the user's cache
folder or ``NUMBA_CACHE_DIR``.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from guidance.errors import DivergedError
from guidance.vector.kernels import paint_shapes, shape_rows
from guidance.vector.kernels_backward import add_strip, unpaint_shapes
from guidance.vector.kernels_flatten import flatten_shapes, unflatten_shapes
from guidance.vector.scene import Scene

STRIP = 16  # rows; fixed, because the gradients of strips are summed in order


def draw(scene: Scene, colors: Tensor, behind: Tensor, height: int, width: int) -> Tensor:
    """Return `scene` in the given `colors` [S, 4] over `behind` [1, 3, 1 or H, 1 or W]."""
    tensors = (scene.points, scene.widths, colors, behind, scene.counts, scene.closed)
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    return _Draw.apply(*tensors, height, width, keep)


class _Draw(torch.autograd.Function):
    # NumPy does the little work outside the kernels: at this size, waking torch's threads costs
    # more than they bring, many times more while other processes keep the cores busy.

    @staticmethod
    def forward(ctx, *args):
        *tensors, height, width, keep = args
        points, widths, colors, behind, counts, closed = map(_array, tensors)
        *outline, pieces = flatten_shapes(points, widths, counts, closed, height, width)
        if len(pieces) == 0:
            raise DivergedError("points and widths must be finite but contain NaN or infinity")
        vertices, first, offsets, radii = outline
        rows = shape_rows(vertices, first, offsets, radii, closed, height, width)
        tops = range(0, height, STRIP)
        layer = np.empty((len(tops), 4, STRIP, width), points.dtype)

        def paint(k: int):
            return _paint_strip((*outline, colors, closed), rows, tops[k], layer[k], keep)

        ctx.fragments = _in_threads(paint, len(tops))
        layer = layer.transpose(1, 0, 2, 3).reshape(4, -1, width)[:, :height]
        ctx.save_for_backward(*tensors)  # so that torch notices a change in place
        ctx.saved = outline, pieces, layer[3]
        return torch.from_numpy(layer[None, :3] + layer[3] * behind)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):  # type: ignore[bad-override]
        points, widths, colors, behind, counts, closed = map(_array, ctx.saved_tensors)
        outline, pieces, transmittance = ctx.saved
        grad = _array(grad)
        height, width = grad.shape[2:]
        strips = len(ctx.fragments)
        of_layer = np.zeros((4, strips * STRIP, width), grad.dtype)
        of_layer[:3, :height] = grad[0]
        of_layer[3, :height] = (grad * behind).sum((0, 1))
        of_layer = np.ascontiguousarray(
            of_layer.reshape(4, strips, STRIP, width).transpose(1, 0, 2, 3)
        )

        def unpaint(k: int):
            scene = *outline, colors, closed
            runs, cover, tags = ctx.fragments[k]
            return _unpaint_strip(scene, k * STRIP, runs, cover, tags, of_layer[k])

        vertices, first, offsets, radii = outline
        sums = np.zeros(vertices.shape), np.zeros(radii.shape), np.zeros(colors.shape)
        for part in _in_threads(unpaint, strips):
            add_strip(first, offsets, *part, *sums)
        path = points, widths, counts, closed, height, width
        of_points, of_widths = unflatten_shapes(*path, pieces, *sums[:2])
        grads = [of_points, of_widths, sums[2], None]
        if ctx.needs_input_grad[3]:
            whole = tuple(axis for axis in (2, 3) if behind.shape[axis] == 1)
            grads[3] = (grad * transmittance).sum(whole, keepdims=True)
        tensors = (None if x is None else torch.from_numpy(x.astype(grad.dtype)) for x in grads)
        return *tensors, *[None] * 5


def _paint_strip(
    scene: tuple[np.ndarray, ...], rows: np.ndarray, top: int, out: np.ndarray, keep: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw rows `top` and on into `out` [4, rows, W]; return runs, coverage and tags.

    Without `keep` these are only the last ones, and memory does not grow with covered pixels.
    """
    _, n, width = out.shape
    out[:3], out[3] = 0, 1
    buffers = (
        np.full((n, width), np.inf, out.dtype),
        np.empty((n, width), np.int32),
        np.zeros((n, width + 1), out.dtype),
        np.full(n, width),
        np.full(n, -1),
    )
    room = n * (width + 2)
    runs = np.empty((room, 4), np.int64)
    cover, tags = np.empty(2 * room, out.dtype), np.empty(2 * room, np.int32)
    s = n_runs = used = 0
    while True:
        s, n_runs, used = paint_shapes(
            *scene, rows, top, *buffers, out, runs, cover, tags, s, n_runs, used
        )
        if s == len(rows):
            return runs[: n_runs + 1].copy(), cover[:used].copy(), tags[:used].copy()
        if keep:
            runs, cover, tags = _longer(runs, n_runs), _longer(cover, used), _longer(tags, used)
        else:
            n_runs = used = 0


def _longer(x: np.ndarray, used: int) -> np.ndarray:
    """Return an array with the first `used` entries of `x` and room for as many again as `x`."""
    longer = np.empty((used + len(x), *x.shape[1:]), x.dtype)
    longer[:used] = x[:used]
    return longer


def _unpaint_strip(
    scene: tuple[np.ndarray, ...],
    top: int,
    runs: np.ndarray,
    cover: np.ndarray,
    tags: np.ndarray,
    grad: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the shapes in a strip and the gradients of their paint and of their segments."""
    owner, offsets = runs[:-1, 0], scene[2]
    bounds = np.flatnonzero(np.diff(owner, prepend=-1, append=-1))
    shapes = owner[bounds[:-1]]
    of_paint = np.zeros((len(shapes), 5))
    of_segments = np.zeros((int((offsets[shapes + 1] - offsets[shapes]).sum()), 4))
    shape = grad.shape[1:]
    scratch = grad[3].astype(float), np.empty(len(cover)), np.ones(shape), np.zeros(shape)
    unpaint_shapes(*scene, top, runs, cover, tags, grad, *scratch, bounds, of_paint, of_segments)
    return shapes, of_paint, of_segments


def _array(x: Tensor) -> np.ndarray:
    return x.detach().contiguous().numpy()


def _in_threads(work: Callable[[int], Any], n: int) -> list[Any]:
    """Return ``[work(0), …, work(n - 1)]``, computed by as many threads as torch uses.

    The caller works too, and a helper that has not begun by the end is dismissed: on a busy
    machine nobody waits for a thread to be scheduled.
    """
    results: list[Any] = [None] * n
    todo = iter(range(n))
    lock = threading.Lock()

    def drain() -> None:
        while True:
            with lock:
                k = next(todo, None)
            if k is None:
                return
            results[k] = work(k)

    helpers = min(torch.get_num_threads(), n) - 1
    futures = [_pool(os.getpid()).submit(drain) for _ in range(helpers)]
    drain()
    for future in futures:
        if not future.cancel():
            future.result()
    return results


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the helpers of this process; a forked child must start its own."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="raster")
