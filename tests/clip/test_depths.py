"""Features of several depths of an image tower."""

import pytest
import torch
from open_clip.transformer import VisionTransformer
from tiny_clip import build_tiny
from torch import nn

from guidance.clip.depths import Depths
from guidance.clip.registry import load_clip
from guidance.errors import InputError

TIMM = {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_proj": "linear"}


@pytest.mark.parametrize(
    ("vision", "count", "layers", "shapes"),
    [
        ({}, 3, [0, 1], [(64, 4, 4), (64, 4, 4)]),
        ({"layers": 6}, 2, [2, 5], [(64, 4, 4)] * 2),
        ({"layers": [1, 1, 1, 1], "width": 8}, 3, [1, 2, 4], [(32, 8, 8), (64, 4, 4), (256, 1, 1)]),
        (TIMM, 3, [1, 2, 4], [(24, 8, 8), (32, 4, 4), (64, 1, 1)]),
    ],
    ids=["two layers", "six layers", "resnet", "timm"],
)
def test_depths_of_a_tower(tmp_path, vision, count, layers, shapes):
    model = load_clip(str(build_tiny(tmp_path / "clip", **vision)))
    depths = Depths(model, count)
    assert depths.layers == layers
    assert depths.widths == [shape[0] for shape in shapes]
    images = torch.rand(2, 3, 40, 40, requires_grad=True)
    found = depths(images)
    assert [tuple(f.shape[1:]) for f in found] == shapes
    sum(f.square().sum() for f in found).backward()
    assert images.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in model.parameters())


def test_the_tokens_of_a_transformer_are_those_of_its_patches(tmp_path):
    model = load_clip(str(build_tiny(tmp_path / "clip")))
    tower = model.network.visual
    assert isinstance(tower, VisionTransformer)
    seen = []
    tower.transformer.resblocks[1].register_forward_hook(lambda *a: seen.append(a[2]))
    images = torch.rand(1, 3, 32, 32)
    model.encode_image(images)
    grid = Depths(model)(images)[-1]
    torch.testing.assert_close(grid[0, :, 1, 2], seen[0][0, 1 + 4 + 2])


def test_a_tower_without_depths_is_named(tmp_path):
    model = load_clip(str(build_tiny(tmp_path / "clip")))
    model.network.visual = nn.Identity()
    with pytest.raises(InputError, match=r"clip \(Identity\) gives no features between its layers"):
        Depths(model)
