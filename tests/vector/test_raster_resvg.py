"""The rasteriser against resvg, an independent SVG renderer, on the SVG of the same scene."""

import io

import numpy as np
import pytest
import resvg_py
import torch
from PIL import Image
from scenes import make_scene

from guidance.vector.raster import render
from guidance.vector.scene import Scene
from guidance.vector.svg.writer import to_svg

BACKGROUND = (0.9, 0.95, 1.0)


def resvg(scene: Scene, height: int, width: int) -> torch.Tensor:
    """Return the scene as resvg draws it, [1, 3, H, W]."""
    svg = to_svg(scene, (width, height), BACKGROUND)
    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGB")
    return torch.from_numpy(np.asarray(picture) / 255).permute(2, 0, 1)[None]


def error(scene: Scene, height: int, width: int, backend: str) -> float:
    """Return the mean absolute difference of ours and resvg's image."""
    ours = render(scene, height, width, BACKGROUND, backend=backend)
    return float((ours - resvg(scene, height, width)).abs().mean())


@pytest.mark.parametrize("block", range(5))
def test_fifty_random_scenes(block):
    for seed in range(10 * block, 10 * block + 10):
        scene = make_scene(64, seed, widths=(0.002, 0.1), dtype=torch.float32)
        assert error(scene, 224, 224, "numba") < 0.005, seed


@pytest.mark.parametrize("seed", range(3))
def test_random_scenes_in_torch(seed):
    scene = make_scene(64, seed, widths=(0.002, 0.1), dtype=torch.float32)
    assert error(scene, 224, 224, "torch") < 0.005


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize(
    ("height", "width", "options"),
    [
        (120, 300, {}),
        (300, 120, {"closed": 0.0}),
        (224, 224, {"widths": (0.0005, 0.004), "closed": 0.0}),  # thinner than a pixel
        (224, 224, {"widths": (0.2, 1.0), "closed": 0.0}),
        (224, 224, {"spread": 3.0}),  # far outside, large and self-crossing
        (224, 224, {"spread": 0.02, "widths": (0.001, 0.02)}),  # tiny
        (224, 224, {"opaque": True, "closed": 1.0}),
    ],
)
def test_other_kinds_of_scenes(backend, height, width, options):
    scene = make_scene(40, seed=1, dtype=torch.float32, **options)
    assert error(scene, height, width, backend) < 0.005
