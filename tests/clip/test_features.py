"""Features before the projection: of every kind of tower, and on to the embedding."""

from __future__ import annotations

import open_clip
import pytest
import torch
from tiny_clip import TINY

from guidance.clip import ClipModel
from guidance.clip.features import features, project
from guidance.clip.preprocess import Preprocess
from guidance.errors import InputError

RESNET = {"timm_model_name": "resnet10t", "timm_pool": "avg"}
TOWERS = {
    "vit": ({}, 64),
    "vit-mean-pool": ({"pool_type": "avg", "final_ln_after_pool": True}, 64),
    "vit-attention-pool": ({"attentional_pool": True, "attn_pooler_heads": 2}, 32),
    "resnet": ({"layers": [1, 1, 1, 1], "width": 8, "image_size": 64}, 256),
    "timm-linear": ({**RESNET, "timm_proj": "linear"}, 512),
    "timm-mlp": ({**RESNET, "timm_proj": "mlp"}, 512),
    "timm-own-head": ({**RESNET, "timm_proj": ""}, 512),
    "timm-no-head": ({**RESNET, "timm_proj": "none"}, 512),
    "timm-pool": ({**RESNET, "timm_pool": "abs_attn", "timm_proj": ""}, 32),
}


def model(**vision: object) -> ClipModel:
    torch.manual_seed(0)
    config = {**TINY["model_cfg"], "vision_cfg": {**TINY["model_cfg"]["vision_cfg"], **vision}}
    if "timm_model_name" in vision:
        config["vision_cfg"] = {"image_size": 32, **vision}
    network = open_clip.CLIP(**config)
    size = network.visual.image_size
    preprocess = Preprocess(size if isinstance(size, int) else size[0], (0.5,) * 3, (0.25,) * 3)
    return ClipModel(network, open_clip.SimpleTokenizer(context_length=16), preprocess, name="tiny")


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TOWERS)
def test_the_projected_features_are_the_embedding(name, images):
    vision, width = TOWERS[name]
    clip = model(**vision)
    before = {k: v.clone() for k, v in clip.network.state_dict().items()}
    found = features(clip, images)
    assert found.shape == (3, width)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(
        project(clip, found), clip.encode_image(images), atol=1e-6, rtol=1e-5
    )
    assert (found[0] - found[1]).norm() > 1e-4 * found[0].norm()
    after = clip.network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_of_a_vision_transformer_they_are_the_normalised_class_token(images):
    clip = model()
    seen = []
    handle = clip.network.visual.ln_post.register_forward_hook(lambda m, i, out: seen.append(out))
    found = features(clip, images)
    handle.remove()
    torch.testing.assert_close(found, seen[0][:, 0], atol=0, rtol=0)
    # the layer norm starts as the plain one
    torch.testing.assert_close(found.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(1, unbiased=False), torch.ones(3), atol=1e-3, rtol=0)


def test_of_mini_they_are_the_pooled_map():
    from guidance.clip import load_clip

    clip, images = load_clip("mini"), torch.rand(2, 3, 128, 128)
    trunk = clip.network.visual.trunk
    x = clip.preprocess(images).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        pooled = trunk.forward_features(x).mean((2, 3))
    found = features(clip, images)
    torch.testing.assert_close(found, pooled, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        project(clip, found), clip.encode_image(images), atol=1e-5, rtol=1e-4
    )


def test_half_precision_gives_float32():
    clip = model()
    clip.network.visual.to(torch.bfloat16)
    clip.dtype = torch.bfloat16
    images = torch.rand(2, 3, 32, 32)
    found = features(clip, images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(project(clip, found), clip.encode_image(images), atol=2e-2, rtol=0)


@pytest.mark.parametrize("bad", [torch.zeros(3, 8, 8), torch.zeros(1, 3, 8, 8).long()])
def test_what_is_no_batch_of_images_is_refused(tiny_clip, bad):
    with pytest.raises(InputError):
        features(tiny_clip, bad)
    with pytest.raises(InputError):
        project(tiny_clip, torch.zeros(4))
