"""Scene → image: anti-aliased, differentiable rendering of strokes and filled shapes.

Coverage of a pixel, the share of it that a shape paints:

- an open shape from the distance `d` of the pixel's centre to the curve and the half width `r`,
  both in pixels: ``clamp(r - d + 1/2, 0, 1) - clamp(-r - d + 1/2, 0, 1)``, a box filter over the
  profile of the stroke, so that a stroke thinner than a pixel fades in proportion to its width;
- a closed shape from the exact area of the pixel inside the flattened path, weighted by winding
  number and cut at 1, which is exact wherever the path does not cross itself inside the pixel.

Shapes are composited source-over in sRGB-encoded values, the default of SVG.

Both backends compute the same image. Their cost grows with the number of covered pixels, not with
shapes × pixels. ``"numba"`` gives the same bytes in every run whatever the number of threads, and
so does ``"torch"`` on a CPU.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from guidance.conventions import MAX_SIDE
from guidance.errors import DivergedError, InputError
from guidance.vector.flatten import bounded
from guidance.vector.scene import Scene

Backend = Literal["auto", "torch", "numba"]


def render(
    scene: Scene,
    height: int,
    width: int,
    background: Tensor | Sequence[float] = (1.0, 1.0, 1.0),  # [3], [3, H, W] or [1, 3, H, W]
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Render `scene` over `background`, differentiable in points, widths, colours and background.

    Args:
        scene: the shapes; float32 or float64 on any device.
        height: of the canvas in pixels, 1 to 8192.
        width: of the canvas in pixels, 1 to 8192.
        background: RGB in [0, 1], one colour or an image of the canvas' size.
        backend: ``"numba"`` is compiled and needs the scene on the CPU; ``"torch"`` runs anywhere;
            ``"auto"`` chooses numba on the CPU if it is installed.

    Returns:
        ``[1, 3, H, W]`` in [0, 1], of the scene's dtype and on its device. An empty scene is its
        background.

    Raises:
        InputError: an argument is not allowed.
        DivergedError: a point in use, width or colour is NaN or infinite.
    """
    for name, side in (("height", height), ("width", width)):
        if not isinstance(side, int) or not 1 <= side <= MAX_SIDE:
            raise InputError(f"{name} must be between 1 and {MAX_SIDE} pixels but is {side}")
    behind = _background(background, scene, height, width)
    draw = _backend(backend, scene)
    if len(scene) == 0:
        return behind.expand(1, 3, height, width).clone()
    if not bool(torch.isfinite(scene.colors).all()):
        raise DivergedError("colors must be finite but contain NaN or infinity")
    return draw(scene, bounded(scene.colors, 0.0, 1.0), behind, height, width)


def _background(background: Tensor | Sequence[float], scene: Scene, height: int, width: int):
    """Return the background as a tensor that broadcasts to ``[1, 3, H, W]``."""
    behind = torch.as_tensor(background, dtype=scene.points.dtype, device=scene.points.device)
    if behind.shape == (3,):
        return behind.reshape(1, 3, 1, 1)
    if behind.shape in ((3, height, width), (1, 3, height, width)):
        return behind.reshape(1, 3, height, width)
    raise InputError(
        f"background must have shape [3], [3, {height}, {width}] or [1, 3, {height}, {width}] "
        f"but has {list(behind.shape)}"
    )


def _backend(name: str, scene: Scene):
    """Return the drawing function called `name`; numba is imported only when it is used."""
    on_cpu = scene.points.device.type == "cpu"
    if name == "auto":
        name = "numba" if on_cpu and importlib.util.find_spec("numba") else "torch"
    if name == "torch":
        from guidance.vector.raster_torch import draw
    elif name == "numba":
        if not on_cpu:
            raise InputError(
                f"backend 'numba' must have the scene on cpu but it is on {scene.points.device}"
            )
        from guidance.vector.raster_numba import draw
    else:
        raise InputError(f"backend must be auto, torch or numba but is {name!r}")
    return draw
