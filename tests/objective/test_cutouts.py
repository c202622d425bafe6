"""Cutouts against a slow reference, and the properties guidance relies on."""

import math

import pytest
import torch
from reference.slow_cutouts import slow_cuts

from guidance.errors import InputError
from guidance.objective.cutout_options import AUGMENTATIONS
from guidance.objective.cutouts import (
    CutoutOptions,
    apply_cuts,
    batches,
    sample_cuts,
)

NONE = {"augment": (), "overview": 0}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(height: int, width: int, batch: int = 1) -> torch.Tensor:
    """Return smooth random images with values all over [0, 1]."""
    small = torch.rand(batch, 3, 5, 5, generator=rng(7))
    return torch.nn.functional.interpolate(small, (height, width), mode="bilinear")


@pytest.mark.parametrize("shape", [(40, 40), (23, 50), (64, 31)])
@pytest.mark.parametrize(
    "augment",
    [(), ("affine",), ("perspective", "flip"), ("colour", "noise", "erase"), AUGMENTATIONS],
)
def test_equals_the_slow_reference(shape, augment):
    images = torch.rand(2, 3, *shape, generator=rng(1))
    options = CutoutOptions(cuts=5, overview=2, min_cut=0.2, augment=augment)
    cuts = sample_cuts(options, *shape, generator=rng(2))
    got, want = apply_cuts(images, cuts, 12), slow_cuts(images, cuts, 12)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


def test_gradient_equals_the_slow_reference():
    images = torch.rand(1, 3, 40, 30, generator=rng(1), requires_grad=True)
    options = CutoutOptions(cuts=4, overview=2, augment=("affine", "perspective", "colour"))
    cuts = sample_cuts(options, 40, 30, generator=rng(3))
    cotangent = torch.rand(4, 3, 10, 10, generator=rng(4))
    (got,) = torch.autograd.grad(apply_cuts(images, cuts, 10), images, cotangent)
    (want,) = torch.autograd.grad(slow_cuts(images, cuts, 10), images, cotangent)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


def test_gradcheck():
    images = (0.2 + 0.6 * torch.rand(2, 3, 12, 9, generator=rng())).double().requires_grad_()
    options = CutoutOptions(cuts=3, overview=1, augment=AUGMENTATIONS, strength=0.3)
    cuts = sample_cuts(options, 12, 9, generator=rng(5))
    assert torch.autograd.gradcheck(lambda x: apply_cuts(x, cuts, 5), images, fast_mode=True)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_one_plain_overview_is_the_image(strength):
    augment = AUGMENTATIONS if strength == 0 else ()
    options = CutoutOptions(cuts=1, overview=1, augment=augment, strength=strength)
    images = torch.rand(2, 3, 32, 32)
    cuts = sample_cuts(options, 32, 32, generator=rng())
    torch.testing.assert_close(apply_cuts(images, cuts, 32), images, atol=1e-5, rtol=0)


def test_overview_sees_the_shorter_side_and_crops_stay_inside():
    options = CutoutOptions(cuts=64, overview=8, min_cut=0.3, augment=())
    cuts = sample_cuts(options, 20, 50, generator=rng())
    assert torch.equal(cuts.sides[:8], torch.ones(8))
    assert cuts.sides[8:].min() >= 0.3
    assert cuts.sides[8:].max() < 1
    corners = torch.tensor([[-1.0, -1, 1], [1, 1, 1]])
    points = corners @ cuts.homographies.mT  # [N, 2, 3], shorter side = 1
    assert points[..., 0].min() >= -1e-6
    assert points[..., 0].max() <= 2.5 + 1e-6
    assert points[:8, 0, 1].abs().max() < 1e-6
    assert (points[:8, 1, 1] - 1).abs().max() < 1e-6
    assert points[..., 0].max() > 2  # and reach the far end


def test_cut_power_moves_the_sizes():
    mean = {
        power: sample_cuts(
            CutoutOptions(cuts=500, min_cut=0.2, cut_power=power, **NONE), 9, 9, generator=rng()
        ).sides.mean()
        for power in (0.5, 1.0, 2.0)
    }
    for power, got in mean.items():  # E[u^p] = 1 / (p + 1)
        assert got == pytest.approx(0.2 + 0.8 / (power + 1), abs=0.04)


def test_same_seed_same_cuts():
    options = CutoutOptions(cuts=6, augment=AUGMENTATIONS)
    images = picture(30, 40)
    first, again, other = (
        apply_cuts(images, sample_cuts(options, 30, 40, generator=rng(s)), 16) for s in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.01


@pytest.mark.parametrize("per_batch", [1, 3, 100, None])
def test_batches_give_the_same_crops(per_batch):
    images = picture(50, 40)
    cuts = sample_cuts(CutoutOptions(cuts=7, augment=AUGMENTATIONS), 50, 40, generator=rng())
    parts = batches(cuts, per_batch)
    assert sum(len(p) for p in parts) == 7
    assert max(len(p) for p in parts) <= (per_batch or 7)
    apart = torch.cat([apply_cuts(images, part, 12) for part in parts])
    torch.testing.assert_close(apart, apply_cuts(images, cuts, 12), atol=2e-6, rtol=0)


def test_batch_of_images_equals_each_alone():
    images = picture(33, 47, batch=3)
    cuts = sample_cuts(CutoutOptions(cuts=5, augment=AUGMENTATIONS), 33, 47, generator=rng())
    alone = torch.cat([apply_cuts(image[None], cuts, 12) for image in images])
    torch.testing.assert_close(apply_cuts(images, cuts, 12), alone, atol=1e-6, rtol=0)


def test_threads_do_not_change_the_crops():
    images = picture(48, 48)
    cuts = sample_cuts(CutoutOptions(cuts=6, augment=AUGMENTATIONS), 48, 48, generator=rng())
    one = apply_cuts(images, cuts, 12)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(apply_cuts(images, cuts, 12), one)
    finally:
        torch.set_num_threads(before)


def many_levels(height: int, width: int):
    """Return plain cuts so different in size that several copies of the image are read."""
    options = CutoutOptions(cuts=24, overview=4, min_cut=0.02, augment=("affine", "perspective"))
    return sample_cuts(options, height, width, generator=rng())


@pytest.mark.parametrize("shape", [(200, 200), (150, 260), (301, 97)])
def test_copies_do_not_bleed(shape):
    cuts = many_levels(*shape)
    colour = torch.tensor([0.9, 0.5, 0.1]).view(1, 3, 1, 1)
    out = apply_cuts(colour.expand(1, 3, *shape).contiguous(), cuts, 16)
    assert (out - colour).abs().max() < 1e-4


def test_border_pixels_do_not_bleed():
    # left half red, right half blue: copies side by side put blue next to red
    images = torch.zeros(1, 3, 160, 160)
    images[:, 0, :, :80], images[:, 2, :, 80:] = 1, 1
    out = apply_cuts(images, many_levels(160, 160), 16)
    torch.testing.assert_close(out[:, 0] + out[:, 2], torch.ones(24, 16, 16), atol=1e-4, rtol=0)
    options = CutoutOptions(cuts=8, overview=4, min_cut=0.05, augment=())
    cuts = sample_cuts(options, 160, 160, generator=rng(3))
    overview = apply_cuts(images, cuts, 16)[:4]
    assert overview[:, 2, :, :7].max() < 1e-4
    assert overview[:, 0, :, 9:].max() < 1e-4


def test_shrinking_does_not_alias():
    board = (torch.arange(256)[:, None] + torch.arange(256)[None]) % 2
    images = board.float().expand(1, 3, -1, -1).contiguous()
    cuts = sample_cuts(
        CutoutOptions(cuts=8, overview=8, augment=("affine",)), 256, 256, generator=rng()
    )
    out = apply_cuts(images, cuts, 32)[:, :, 4:-4, 4:-4]
    assert (out - 0.5).abs().max() < 0.05  # one bilinear sample a pixel would be 0 or 1


def test_fine_detail_survives_in_small_cuts():
    images = picture(256, 256)
    images[..., ::2] = 1 - images[..., ::2]
    options = CutoutOptions(cuts=8, overview=0, min_cut=0.05, cut_power=100, augment=())
    cuts = sample_cuts(options, 256, 256, generator=rng(1))
    near = cuts.sides < 0.1
    assert near.sum() > 4
    out = apply_cuts(images, cuts, 64)[near]
    assert out.diff(dim=-1).abs().mean() > 0.05


def test_every_pixel_gets_gradient():
    images = picture(64, 64).requires_grad_()
    options = CutoutOptions(cuts=32, overview=4, augment=("affine",))
    cuts = sample_cuts(options, 64, 64, generator=rng())
    apply_cuts(images, cuts, 32).sum().backward()
    assert (images.grad.abs().sum(1) > 0).float().mean() > 0.98


def test_default_overview_fits_any_number_of_cuts():
    assert [CutoutOptions(cuts=n).overview for n in (1, 5, 10, 16)] == [1, 5, 10, 10]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cuts": 0}, "cuts must be at least 1"),
        ({"cuts": 5000}, "at most 4096"),
        ({"cuts": 2.5}, "cuts must be a whole number but is 2.5"),
        ({"cuts": 16, "overview": 17}, "overview must be at least 0 and at most 16 but is 17"),
        ({"cut_power": 0}, "cut_power must be greater than 0"),
        ({"min_cut": 0}, "min_cut must be greater than 0 and at most 1"),
        ({"min_cut": 1.5}, "at most 1 but is 1.5"),
        ({"strength": -1}, "strength must be at least 0"),
        ({"strength": math.nan}, "strength must be"),
        (
            {"augment": ("perspectve",)},
            "unknown augmentation 'perspectve'; did you mean perspective",
        ),
    ],
)
def test_option_errors(options, message):
    with pytest.raises(InputError, match=message):
        CutoutOptions(**options)


def test_apply_errors():
    cuts = sample_cuts(CutoutOptions(), 8, 8, generator=rng())
    with pytest.raises(InputError, match=r"images must have shape \[B, 3, H, W\]"):
        apply_cuts(torch.rand(3, 8, 8), cuts, 8)
    with pytest.raises(InputError, match="cuts must not be empty"):
        apply_cuts(torch.rand(1, 3, 8, 8), cuts[:0], 8)
