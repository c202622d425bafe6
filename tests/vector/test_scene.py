"""What a scene accepts."""

import pytest
import torch
from scenes import make_scene

from guidance.errors import InputError
from guidance.vector.scene import Scene


def arguments() -> dict:
    scene = make_scene(3, seed=0)
    return {name: getattr(scene, name) for name in Scene.__annotations__}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": torch.zeros(3, 10)}, r"points must have shape \[S, P, 2\] but has \[3, 10\]"),
        ({"points": [1, 2]}, "points must be a tensor"),
        ({"points": torch.zeros(3, 10, 2).long()}, "points must be float32 or float64"),
        ({"points": torch.zeros(3, 10, 2)}, "widths must be torch.float32 like points"),
        ({"widths": torch.zeros(4).double()}, r"widths must have shape \[3\] but has \[4\]"),
        ({"colors": torch.zeros(3, 3).double()}, r"colors must have shape \[3, 4\]"),
        ({"counts": torch.ones(3)}, "counts must be torch.int64 but are torch.float32"),
        ({"counts": torch.tensor([1, 0, 1])}, "counts must be at least 1 but go down to 0"),
        ({"counts": torch.tensor([1, 4, 1])}, "points must hold 1[23] points per shape"),
        ({"closed": torch.zeros(3)}, "closed must be torch.bool but is torch.float32"),
        ({"closed": torch.zeros(3, dtype=torch.bool, device="meta")}, "on one device"),
    ],
)
def test_tensors_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        Scene(**{**arguments(), **change})


def test_a_closed_shape_needs_one_point_less():
    points = torch.zeros(1, 3, 2)
    rest = torch.zeros(1), torch.zeros(1, 4), torch.tensor([1])
    assert len(Scene(points, *rest, torch.tensor([True]))) == 1
    with pytest.raises(InputError, match="must hold 4 points"):
        Scene(points, *rest, torch.tensor([False]))


def test_to_and_detach():
    scene = make_scene(3, seed=0)
    scene.points.requires_grad_()
    single = scene.to(dtype=torch.float32)
    assert single.points.dtype == single.colors.dtype == torch.float32
    assert single.counts.dtype == torch.int64
    assert single.points.requires_grad
    assert not scene.detach().points.requires_grad
