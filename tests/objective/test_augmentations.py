"""Augmentations of cutouts: each does what its numbers say."""

import math

import kornia
import pytest
import torch

from guidance.objective.augmentations import affine, colour_matrices, perspective
from guidance.objective.cutout_options import ALIASES, AUGMENTATIONS
from guidance.objective.cutouts import CutoutOptions, apply_cuts, sample_cuts


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(height: int, width: int, batch: int = 1) -> torch.Tensor:
    """Return smooth random images with values all over [0, 1]."""
    small = torch.rand(batch, 3, 5, 5, generator=rng(7))
    return torch.nn.functional.interpolate(small, (height, width), mode="bilinear")


def test_affine_and_perspective_do_what_their_numbers_say():
    one, zero = torch.ones(1), torch.zeros(1)
    turn = torch.tensor([0.3])
    turned = affine(turn, 2 * one, zero, torch.tensor([[0.1, 0.2]]), one)[0]
    cos, sin = 2 * math.cos(0.3), 2 * math.sin(0.3)
    want = torch.tensor([[cos, -sin, 0.1], [sin, cos, 0.2], [0, 0, 1]])
    torch.testing.assert_close(turned, want)
    sheared = affine(turn, one, 0.5 * one, torch.zeros(1, 2), -one)[0]
    rotation = affine(turn, one, zero, torch.zeros(1, 2), one)[0]
    shear = torch.tensor([[1, 0.5, 0], [0, 1, 0], [0, 0, 1.0]])
    torch.testing.assert_close(sheared, rotation @ shear @ torch.diag(torch.tensor([-1.0, 1, 1])))
    jitter = torch.rand(3, 4, 2, generator=rng()) * 0.6 - 0.3
    corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    moved = corners @ perspective(jitter).mT
    want = corners[:, :2] + jitter
    torch.testing.assert_close(moved[..., :2] / moved[..., 2:], want, atol=1e-5, rtol=0)


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


def test_colour_matrix_does_what_its_numbers_say():
    rgb = torch.rand(3, 50, generator=rng())

    def apply(*u):
        matrix = colour_matrices(torch.tensor([u], dtype=torch.float32))[0]
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
    matrix = colour_matrices(torch.rand(20, 4, generator=rng()) * 2 - 1)
    levels = matrix[..., :3].sum(-1) * 0.3 + matrix[..., 3]
    assert (levels - levels[:, :1]).abs().max() < 1e-4


def test_noise_has_the_level_it_says():
    images = torch.full((1, 3, 32, 32), 0.5)
    options = CutoutOptions(cuts=12, augment=("noise",))
    cuts = sample_cuts(options, 32, 32, generator=rng())
    out = apply_cuts(images, cuts, 32)
    torch.testing.assert_close(out.std(dim=(1, 2, 3)), cuts.changes.noise, atol=0.005, rtol=0.05)
    assert cuts.changes.noise.max() <= 0.1
    correlation = torch.corrcoef((out - 0.5).flatten(1))
    assert (correlation - torch.eye(12)).abs().max() < 0.1  # each cut has its own


def test_erased_boxes():
    images = torch.full((2, 3, 40, 40), 2 / 3)
    cuts = sample_cuts(CutoutOptions(cuts=40, augment=("erase",)), 40, 40, generator=rng())
    out = apply_cuts(images, cuts, 40).view(2, 40, 3, 40, 40)
    assert torch.equal(out[0], out[1])
    changed = (out[0] - 2 / 3).abs().amax(1) > 1e-4  # [N, S, S]
    area = changed.float().mean(dim=(1, 2))
    box = (cuts.changes.erase[:, 2] - cuts.changes.erase[:, 0]) * (
        cuts.changes.erase[:, 3] - cuts.changes.erase[:, 1]
    )
    torch.testing.assert_close(area, box, atol=0.04, rtol=0)
    assert 8 < (box > 0).sum() < 32  # about half of them
    assert box[box > 0].min() > 0.02
    for n in range(40):
        torch.testing.assert_close(
            out[0, n].amin(0)[changed[n]],
            cuts.changes.fill[n].expand(int(changed[n].sum())),
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


def test_aliases():
    assert set(ALIASES.values()) <= set(AUGMENTATIONS)
    codes = CutoutOptions(augment=("Af", "Pe", "Ji", "Er", "Gn", "Hf", "color", "Ro"))
    want = ("affine", "perspective", "colour", "erase", "noise", "flip")
    assert codes.augment == want
    assert codes == CutoutOptions(augment=want)
