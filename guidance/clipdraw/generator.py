"""Drawing: strokes whose points, widths and colours follow the gradient (CLIPDraw).

Frans, Soros and Witkowski 2021, "CLIPDraw: Exploring Text-to-Drawing Synthesis through
Language-Image Encoders", arXiv:2106.14843, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from guidance.conventions import check_images
from guidance.errors import InputError
from guidance.step.generator import Generator
from guidance.vector.raster import render
from guidance.vector.scene import Scene
from guidance.vector.svg.writer import to_svg

REFERENCE = 224  # CLIPDraw's canvas; its learning rates and widths are pixels of it
RADIUS = 0.1  # spread of a new stroke's control points, as in CLIPDraw


def points_factor(index: int, steps: int) -> float:
    """Return the factor of the points' rate: 0.4 from half time, 0.1 in the last quarter."""
    return 1.0 if index < steps // 2 else 0.4 if index < steps * 3 // 4 else 0.1


@dataclass(frozen=True)
class Export:
    """What the SVG of a drawing is.

    Attributes:
        size: height and width, pixels.
        title: text inside it.
    """

    size: tuple[int, int] = (1024, 1024)
    title: str | None = None


class Drawing(Generator):
    """A scene under optimisation.

    Args:
        scene: the strokes and shapes to start from.
        size: height and width of the canvas that is scored, pixels.
        background: RGB in [0, 1].
        width_range: least and greatest stroke width, fractions of the shorter side.
        palette: ``[C, 3]`` the only colours allowed, or None for any.
        ink: keep colours as they are and learn shapes only.
        lr: learning rates of points, widths (both in canvas units) and colours.
        export: what ``drawing.svg`` is.
    """

    def __init__(
        self,
        scene: Scene,
        size: tuple[int, int],
        *,
        background: Sequence[float] = (1.0, 1.0, 1.0),
        width_range: tuple[float, float] = (1 / REFERENCE, 50 / REFERENCE),
        palette: Tensor | None = None,
        ink: bool = False,
        lr: tuple[float, float, float] = (1 / REFERENCE, 0.1 / REFERENCE, 0.01),
        export: Export = Export(),
    ):
        super().__init__()
        if len(scene) == 0:
            raise InputError("a drawing must have at least one stroke but has none")
        self.size = size
        self.width_range = width_range
        self.export = export
        self.points = nn.Parameter(scene.points.detach().clone())
        self.widths = nn.Parameter(scene.widths.detach().clone())
        self.colors = nn.Parameter(scene.colors.detach().clone(), requires_grad=not ink)
        self.register_buffer("counts", scene.counts.clone())
        self.register_buffer("closed", scene.closed.clone())
        self.register_buffer("palette", None if palette is None else palette.to(self.points))
        paper = torch.tensor(list(background)).to(self.points)
        self.register_buffer("background", paper)
        self._rates = dict(zip(("points", "widths", "colors"), lr, strict=True))
        groups = [
            {"name": name, "params": [getattr(self, name)], "lr": rate}
            for name, rate in self._rates.items()
            if getattr(self, name).requires_grad
        ]
        self.optimizer = torch.optim.Adam(groups)

    def scene(self) -> Scene:
        """Return the scene as it is drawn now, with gradient."""
        colors = self.colors
        if self.palette is not None:
            # the nearest allowed colour forward, the free colour's gradient backward
            nearest = torch.cdist(colors[:, :3].detach(), self.palette).argmin(dim=1)
            rgb = colors[:, :3] + (self.palette[nearest] - colors[:, :3]).detach()
            colors = torch.cat([rgb, colors[:, 3:]], dim=1)
        return Scene(self.points, self.widths, colors, self.counts, self.closed)

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Go on from a state of the same strokes; the rasterisers rely on their numbers."""
        for name in ("counts", "closed"):
            own, given = getattr(self, name), state_dict.get(name)
            if given is not None and not torch.equal(own.cpu(), given.cpu()):
                raise InputError(f"the {name} of the strokes differ from those of the drawing")
        return super().load_state_dict(state_dict, strict, assign)

    def image(self) -> Tensor:
        """Return the rendered canvas ``[1, 3, H, W]`` in [0, 1]."""
        return render(self.scene(), *self.size, self.background)

    def prepare(self, index: int, steps: int) -> None:
        """Lower the points' learning rate towards the end."""
        factor = points_factor(index, steps)
        for group in self.optimizer.param_groups:
            rate = self._rates[group["name"]]
            group["lr"] = rate * factor if group["name"] == "points" else rate

    def project(self) -> None:
        """Keep widths and colours in range, and strokes near the canvas."""
        self.points.clamp_(-1, 2)
        self.widths.clamp_(*self.width_range)
        self.colors.clamp_(0, 1)

    @torch.no_grad()
    def render(self, height: int, width: int) -> Tensor:
        """Return the drawing at any size, ``[1, 3, height, width]``."""
        return render(self.scene(), height, width, self.background)

    @torch.no_grad()
    def artefacts(self) -> dict[str, str | bytes]:
        """Return ``drawing.svg``."""
        height, width = self.export.size
        svg = to_svg(self.scene(), (width, height), self.background, title=self.export.title)
        return {"drawing.svg": svg}


def random_scene(
    strokes: int,
    segments: tuple[int, int],
    *,
    closed: bool = False,
    width: tuple[float, float] = (1 / REFERENCE, 1 / REFERENCE),
    opacity: tuple[float, float] = (0.0, 1.0),
    generator: torch.Generator,
) -> Scene:
    """Return `strokes` random strokes as CLIPDraw starts with.

    Each starts anywhere; each further control point is within ±`RADIUS`/2 of the one before it.

    Args:
        segments: fewest and most cubics of a stroke; shapes have at least two.
        width: least and greatest, uniform in between; fractions of the shorter side.
        opacity: least and greatest, likewise.
    """
    low, high = (max(s, 2) for s in segments) if closed else segments
    counts = torch.randint(low, high + 1, (strokes,), generator=generator)
    moves = (torch.rand(strokes, 3 * high + 1, 2, generator=generator) - 0.5) * RADIUS
    moves[:, 0] = torch.rand(strokes, 2, generator=generator)
    colors = torch.rand(strokes, 4, generator=generator)
    colors[:, 3] = opacity[0] + (opacity[1] - opacity[0]) * colors[:, 3]
    return Scene(
        points=moves.cumsum(dim=1),
        widths=width[0] + (width[1] - width[0]) * torch.rand(strokes, generator=generator),
        colors=colors,
        counts=counts,
        closed=torch.full((strokes,), closed),
    )


def take_colours(scene: Scene, image: Tensor) -> Tensor:
    """Return colours ``[S, 4]`` for `scene`: those of `image` under each shape's middle.

    Args:
        image: ``[1, 3, H, W]`` in [0, 1], stretched over the canvas.
    """
    check_images("image", image)
    used = torch.arange(scene.points.shape[1]) < (3 * scene.counts + 1)[:, None]
    middle = (scene.points * used[..., None]).sum(1) / used.sum(1, keepdim=True)
    grid = (middle * 2 - 1).view(1, 1, -1, 2)
    rgb = nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
    return torch.cat([rgb[0, :, 0].T, torch.ones(len(scene), 1)], dim=1)
