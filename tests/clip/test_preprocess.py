"""Preprocessing on tensors against open_clip's own transforms on PIL images."""

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from guidance.clip.preprocess import Preprocess
from guidance.errors import ModelError
from guidance.images import to_tensor

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
# 8-bit resizing rounds after each of its two passes, ours not at all, and bicubic weights of mixed
# sign enlarge the first rounding; in units of 1/255. The picture keeps clear of black and white,
# where 8-bit resizing clips between the passes too.
ROUNDING = 1.3


def photo(width: int, height: int) -> Image.Image:
    """Return a smooth picture with some detail."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [np.sin(9 * x + 4 * y), np.cos(13 * y - 5 * x), np.sin(30 * x * y + 8 * x)]
    noise = np.random.default_rng(0).normal(0, 0.15, (height, width, 3))
    array = (np.stack(waves, -1) * 0.5 + noise) * 90 + 127.5
    return Image.fromarray(array.clip(30, 225).round().astype(np.uint8))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("shape", [(97, 61), (40, 101), (32, 32), (20, 13), (200, 200), (33, 32)])
def test_equals_open_clip(mode, interpolation, shape):
    cfg = {"mean": MEAN, "std": STD, "interpolation": interpolation, "resize_mode": mode}
    theirs = image_transform_v2(PreprocessCfg(size=32, fill_color=40, **cfg), is_train=False)
    ours = Preprocess.from_config({**cfg, "fill_color": 40}, 32)
    image = photo(*shape)
    want, got = theirs(image), ours(to_tensor(image))[0]
    assert got.shape == want.shape
    levels = (got - want) * torch.tensor(STD).view(3, 1, 1) * 255
    assert levels.abs().max() < ROUNDING


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("shape", [(97, 61), (40, 101), (32, 32), (20, 13), (200, 200), (33, 32)])
def test_8_bits_stay_so_and_equal_open_clip_but_for_last_bits(mode, interpolation, shape):
    cfg = {"interpolation": interpolation, "resize_mode": mode, "fill_color": 40}
    plain = {"mean": (0, 0, 0), "std": (1, 1, 1)}
    theirs = image_transform_v2(PreprocessCfg(size=32, **cfg, **plain), is_train=False)
    image = photo(*shape)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    got = Preprocess.from_config({**cfg, **plain}, 32).resize(pixels)
    assert got.dtype == torch.uint8
    levels = (got[0].double() - theirs(image).double() * 255).abs()
    # Pillow resizes tall pictures column by column first, and both round after each pass
    assert levels.max() < (1.01 if shape[0] >= shape[1] else 2.01)
    assert levels.mean() < (0.06 if shape[0] >= shape[1] else 0.4)


def test_8_bits_clip_what_overshoots():
    edge = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    edge[..., 20:] = 255
    small = Preprocess(17, MEAN, STD).resize(edge)
    assert (small[..., :5] == 0).all()
    assert (small[..., -5:] == 255).all()
    large = Preprocess(90, MEAN, STD).resize(edge).int()
    assert (large.diff(dim=-1) >= 0).all()  # bytes that wrapped around would fall


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
def test_size_of_the_model_passes_unchanged(mode):
    images = torch.rand(2, 3, 16, 16)
    preprocess = Preprocess(16, MEAN, STD, resize_mode=mode)
    assert preprocess.resize(images) is images
    want = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(preprocess(images), want)


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
def test_gradient_reaches_the_image(mode):
    images = torch.rand(1, 3, 20, 31, requires_grad=True)
    Preprocess(8, MEAN, STD, resize_mode=mode)(images).square().sum().backward()
    inside = images.grad[..., 8:-8] if mode == "shortest" else images.grad
    assert (inside.abs().sum(1) > 0).float().mean() > 0.9


def test_overshoot_is_clipped():
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    resized = Preprocess(32, MEAN, STD).resize(edge)
    assert resized.min() == 0
    assert resized.max() == 1


def test_config_defaults_and_refusals():
    plain = {"mean": MEAN, "std": STD}
    assert Preprocess.from_config(plain, (8, 8)) == Preprocess(8, MEAN, STD)
    random = Preprocess.from_config({**plain, "interpolation": "random"}, 8)
    assert random.interpolation == "bicubic"
    with pytest.raises(ModelError, match="square but is 8x9"):
        Preprocess.from_config(plain, (8, 9))
    with pytest.raises(ModelError, match=r"resize_mode must be .* but is 'stretch'"):
        Preprocess.from_config({**plain, "resize_mode": "stretch"}, 8)
