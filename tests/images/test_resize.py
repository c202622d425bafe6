"""The one resize of tensors: bicubic within [0, 1], averaged where it shrinks."""

import pytest
import torch
import torch.nn.functional as F

from guidance.images.resize import resize


def test_what_shrinks_is_averaged():
    board = ((torch.arange(64)[:, None] + torch.arange(64)[None]) % 2).float().expand(1, 3, -1, -1)
    for mode in ("bicubic", "bilinear"):
        assert (resize(board, (8, 8), mode=mode) - 0.5).abs().max() < 0.05
    assert (resize(board, (9, 9), antialias=False) - 0.5).abs().max() > 0.3


def test_bicubic_stays_in_range_unless_told(generator):
    images = torch.rand(2, 3, 9, 7, generator=generator).round()
    inside = resize(images, (40, 50))
    assert inside.shape == (2, 3, 40, 50)
    assert (inside.min(), inside.max()) == (0, 1)
    free = resize(images, (40, 50), clip=False)
    assert free.max() > 1.01
    assert torch.equal(free.clamp(0, 1), inside)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_eight_bits_stay_eight_bits(generator, mode):
    images = torch.randint(256, (1, 3, 30, 20), generator=generator, dtype=torch.uint8)
    small = resize(images, (10, 8), mode=mode)
    assert small.dtype == torch.uint8
    want = resize(images / 255, (10, 8), mode=mode) * 255
    assert (small - want).abs().max() < 1.5


def test_twice_as_large_is_what_the_upsampler_was_trained_on(generator):
    images = torch.rand(1, 3, 16, 12, generator=generator)
    want = F.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
    assert torch.equal(resize(images, (32, 24), antialias=False), want)
