"""Cutouts against a slow reference, and the properties guidance relies on."""

import math

import kornia
import pytest
import torch
from reference.slow_cutouts import slow_cuts

from guidance.errors import InputError
from guidance.objective.cutouts import (
    ALIASES,
    AUGMENTATIONS,
    CutoutOptions,
    _affine,
    _colour_matrices,
    _perspective,
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


def test_affine_and_perspective_do_what_their_numbers_say():
    one, zero = torch.ones(1), torch.zeros(1)
    turn = torch.tensor([0.3])
    turned = _affine(turn, 2 * one, zero, torch.tensor([[0.1, 0.2]]), one)[0]
    cos, sin = 2 * math.cos(0.3), 2 * math.sin(0.3)
    want = torch.tensor([[cos, -sin, 0.1], [sin, cos, 0.2], [0, 0, 1]])
    torch.testing.assert_close(turned, want)
    sheared = _affine(turn, one, 0.5 * one, torch.zeros(1, 2), -one)[0]
    rotation = _affine(turn, one, zero, torch.zeros(1, 2), one)[0]
    shear = torch.tensor([[1, 0.5, 0], [0, 1, 0], [0, 0, 1.0]])
    torch.testing.assert_close(sheared, rotation @ shear @ torch.diag(torch.tensor([-1.0, 1, 1])))
    jitter = torch.rand(3, 4, 2, generator=rng()) * 0.6 - 0.3
    corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    moved = corners @ _perspective(jitter).mT
    want = corners[:, :2] + jitter
    torch.testing.assert_close(moved[..., :2] / moved[..., 2:], want, atol=1e-5, rtol=0)


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


def test_a_plain_augmentation_leaves_the_other_choices_alone():
    def homographies(*augment):
        options = CutoutOptions(cuts=8, augment=augment)
        return sample_cuts(options, 30, 40, generator=rng()).homographies

    for extra in ("colour", "noise", "erase"):
        assert torch.equal(homographies("affine"), homographies("affine", extra))
    plain, flipped = homographies(), homographies("flip")
    assert torch.equal(plain[..., 1:], flipped[..., 1:])
    assert torch.equal(plain[..., 0].abs(), flipped[..., 0].abs())
    assert 0 < (plain[:, 0, 0] == flipped[:, 0, 0]).sum() < 8


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


def test_colour_matrix_does_what_its_numbers_say():
    rgb = torch.rand(3, 50, generator=rng())

    def apply(*u):
        matrix = _colour_matrices(torch.tensor([u], dtype=torch.float32))[0]
        return matrix[:, :3] @ rgb + matrix[:, 3:]

    torch.testing.assert_close(apply(0, 0, 0, 0), rgb, atol=1e-4, rtol=0)
    torch.testing.assert_close(apply(1, 0, 0, 0), 1.15 * rgb, atol=1e-4, rtol=0)
    torch.testing.assert_close(apply(0, 1, 0, 0), 1.15 * (rgb - 0.5) + 0.5, atol=1e-4, rtol=0)
    grey = kornia.color.rgb_to_grayscale(rgb[None, :, :, None])[0, :, :, 0]
    blend = grey + 0.85 * (rgb - grey)
    torch.testing.assert_close(apply(0, 0, -1, 0), blend, atol=2e-3, rtol=0)
    turned = apply(0, 0, 0, 1)
    luma = kornia.color.rgb_to_grayscale(turned[None, :, :, None])[0, :, :, 0]
    torch.testing.assert_close(luma, grey, atol=2e-3, rtol=0)  # hue keeps the luma
    assert (turned - rgb).abs().mean() > 0.02
    torch.testing.assert_close(
        apply(0, 0, 0, 1).std(0).mean(), rgb.std(0).mean(), atol=0.05, rtol=0
    )  # and the amount of colour


def test_colour_matrices_keep_grey_grey():
    matrix = _colour_matrices(torch.rand(20, 4, generator=rng()) * 2 - 1)
    levels = matrix[..., :3].sum(-1) * 0.3 + matrix[..., 3]
    assert (levels - levels[:, :1]).abs().max() < 1e-4


def test_noise_has_the_level_it_says():
    images = torch.full((1, 3, 32, 32), 0.5)
    options = CutoutOptions(cuts=12, augment=("noise",))
    cuts = sample_cuts(options, 32, 32, generator=rng())
    out = apply_cuts(images, cuts, 32)
    torch.testing.assert_close(out.std(dim=(1, 2, 3)), cuts.noise, atol=0.005, rtol=0.05)
    assert cuts.noise.max() <= 0.1
    correlation = torch.corrcoef((out - 0.5).flatten(1))
    assert (correlation - torch.eye(12)).abs().max() < 0.1  # each cut has its own


def test_erased_boxes():
    images = torch.full((2, 3, 40, 40), 2 / 3)
    cuts = sample_cuts(CutoutOptions(cuts=40, augment=("erase",)), 40, 40, generator=rng())
    out = apply_cuts(images, cuts, 40).view(2, 40, 3, 40, 40)
    assert torch.equal(out[0], out[1])
    changed = (out[0] - 2 / 3).abs().amax(1) > 1e-4  # [N, S, S]
    area = changed.float().mean(dim=(1, 2))
    box = (cuts.erase[:, 2] - cuts.erase[:, 0]) * (cuts.erase[:, 3] - cuts.erase[:, 1])
    torch.testing.assert_close(area, box, atol=0.04, rtol=0)
    assert 8 < (box > 0).sum() < 32  # about half of them
    assert box[box > 0].min() > 0.02
    for n in range(40):
        torch.testing.assert_close(
            out[0, n].amin(0)[changed[n]],
            cuts.fill[n].expand(int(changed[n].sum())),
            atol=1e-5,
            rtol=0,
        )


@pytest.mark.parametrize("seed", range(5))
def test_the_strongest_augmentation_stays_finite(seed):
    options = CutoutOptions(cuts=32, augment=AUGMENTATIONS, strength=4, min_cut=0.01)
    images = picture(64, 30).requires_grad_()
    out = apply_cuts(images, sample_cuts(options, 64, 30, generator=rng(seed)), 8)
    out.sum().backward()
    assert out.isfinite().all()
    assert images.grad.isfinite().all()
    assert 0 <= out.min() <= out.max() <= 1


def test_every_pixel_gets_gradient():
    images = picture(64, 64).requires_grad_()
    options = CutoutOptions(cuts=32, overview=4, augment=("affine",))
    cuts = sample_cuts(options, 64, 64, generator=rng())
    apply_cuts(images, cuts, 32).sum().backward()
    assert (images.grad.abs().sum(1) > 0).float().mean() > 0.98


def test_default_overview_fits_any_number_of_cuts():
    assert [CutoutOptions(cuts=n).overview for n in (1, 5, 10, 16)] == [1, 5, 10, 10]


def test_aliases():
    assert set(ALIASES.values()) <= set(AUGMENTATIONS)
    codes = CutoutOptions(augment=("Af", "Pe", "Ji", "Er", "Gn", "Hf", "color", "Ro"))
    want = ("affine", "perspective", "colour", "erase", "noise", "flip")
    assert codes.augment == want
    assert codes == CutoutOptions(augment=want)


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
