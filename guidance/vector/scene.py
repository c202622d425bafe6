"""The drawing: shapes made of cubic Bézier curves, painted in order.

A scene is independent of resolution: positions are fractions of the canvas, so the same scene
renders at any size and goes to SVG unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from guidance.conventions import check_shape
from guidance.errors import InputError


@dataclass(frozen=True)
class Scene:
    """S shapes painted in order, the first at the bottom.

    An open shape is a stroke with round caps and joins: `counts[s]` cubics chained through its
    first ``3 * counts[s] + 1`` points. A closed shape is filled by the non-zero winding rule and
    has no stroke: it uses its first ``3 * counts[s]`` points and its last cubic ends at its first
    point. Points beyond those are padding and are never read.

    Args:
        points: ``[S, P, 2]`` control points, x as a fraction of the canvas' width and y of its
            height; x right, y down. Points outside [0, 1] are off the canvas and allowed.
        widths: ``[S]`` stroke widths, fractions of the canvas' shorter side; ignored for closed
            shapes. A negative width draws like zero.
        colors: ``[S, 4]`` red, green, blue and straight alpha, sRGB-encoded, in [0, 1]; values
            outside draw like the nearest value inside.
        counts: ``[S]`` int64, number of cubics of each shape, at least 1.
        closed: ``[S]`` bool.

    Raises:
        InputError: a shape, dtype or device does not fit, or `counts` asks for more points than
            there are.
    """

    points: Tensor  # [S, P, 2]
    widths: Tensor  # [S]
    colors: Tensor  # [S, 4]
    counts: Tensor  # [S] int64
    closed: Tensor  # [S] bool

    def __post_init__(self) -> None:
        check_shape("points", self.points, ["S", "P", 2])
        n = len(self.points)
        check_shape("widths", self.widths, [n])
        check_shape("colors", self.colors, [n, 4])
        check_shape("counts", self.counts, [n])
        check_shape("closed", self.closed, [n])
        if self.points.dtype not in (torch.float32, torch.float64):
            raise InputError(f"points must be float32 or float64 but are {self.points.dtype}")
        for name in ("widths", "colors"):
            dtype = getattr(self, name).dtype
            if dtype != self.points.dtype:
                raise InputError(f"{name} must be {self.points.dtype} like points but are {dtype}")
        if self.counts.dtype != torch.int64:
            raise InputError(f"counts must be torch.int64 but are {self.counts.dtype}")
        if self.closed.dtype != torch.bool:
            raise InputError(f"closed must be torch.bool but is {self.closed.dtype}")
        devices = {str(getattr(self, field.name).device) for field in fields(self)}
        if len(devices) > 1:
            raise InputError(f"all tensors of a scene must be on one device but are on {devices}")
        self._check_counts()

    def _check_counts(self) -> None:
        if len(self) == 0:
            return
        needed = 3 * self.counts + (~self.closed).long()
        low, need = torch.stack([self.counts.min(), needed.max()]).tolist()
        if low < 1:
            raise InputError(f"counts must be at least 1 but go down to {low}")
        if need > self.points.shape[1]:
            raise InputError(
                f"points must hold {need} points per shape for these counts "
                f"but hold {self.points.shape[1]}"
            )

    def __len__(self) -> int:
        """Return the number of shapes."""
        return len(self.points)

    def detach(self) -> Scene:
        """Return the same scene without gradient history."""
        return self._map(Tensor.detach)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Scene:
        """Return the scene on `device`, its floating-point tensors as `dtype`."""
        return self._map(
            lambda x: x.to(device=device, dtype=dtype if x.is_floating_point() else None)
        )

    def _map(self, change) -> Scene:
        return replace(self, **{f.name: change(getattr(self, f.name)) for f in fields(self)})
