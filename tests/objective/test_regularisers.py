"""Regularisers: known values, gradients, and what they do to a picture."""

import pytest
import torch

from guidance.errors import InputError
from guidance.objective.regularisers import (
    Likeness,
    PaletteDistance,
    Saturation,
    Smoothness,
    nearest_colours,
    weighted,
)

PALETTE = torch.tensor([[1.0, 0, 0], [0, 0, 1], [1, 1, 1], [0.2, 0.9, 0.3]])


def plain(*colour: float) -> torch.Tensor:
    """Return a 2 × 2 image of one colour."""
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 2, 2)


def test_smoothness_by_hand():
    x = torch.zeros(1, 3, 2, 2)
    x[..., 0, 0] = 1
    assert float(Smoothness()(x)) == pytest.approx(0.5 + 0.5)
    assert float(Smoothness()(plain(0.1, 0.5, 1.0))) == 0


def test_likeness_by_hand():
    x = torch.zeros(1, 3, 2, 2)
    x[..., 0, 0] = 1
    target = torch.full((1, 3, 2, 2), 0.5)
    assert float(Likeness(target)(x)) == pytest.approx(0.25)
    with pytest.raises(InputError, match=r"target's size \[2, 2\] but has \[2, 3\]"):
        Likeness(target)(torch.zeros(1, 3, 2, 3))


def test_likeness_where_the_mask_is(generator):
    x, target = torch.rand(2, 1, 3, 4, 6, generator=generator)
    mask = torch.zeros(1, 1, 4, 6)
    mask[..., :2, 1:5] = 0.7
    want = (x - target)[..., :2, 1:5].square().mean()
    torch.testing.assert_close(Likeness(target, mask)(x), want)
    x.requires_grad_()
    Likeness(target, mask)(x).backward()
    assert torch.equal(x.grad[0, 0] != 0, mask[0, 0] > 0)
    torch.testing.assert_close(Likeness(target, mask / mask.max())(x), want)
    even = Likeness(target, torch.full((1, 1, 4, 6), 0.1))(x)
    torch.testing.assert_close(even, Likeness(target)(x))
    for bad in (torch.zeros(1, 1, 4, 6), -mask, mask * float("nan")):
        with pytest.raises(InputError, match="mask must be at least 0"):
            Likeness(target, bad)
    with pytest.raises(InputError, match=r"mask must have shape \[1, 1, 4, 6\]"):
        Likeness(target, mask[..., :5])


@pytest.mark.parametrize(
    ("colour", "want"),
    [((1, 0, 0), 0), ((1, 1, 0), 0), ((0, 1, 1), 0), ((0, 0, 0), 1), ((0.4, 0.4, 0.4), 1)],
)
def test_saturation_of_pure_hues_and_greys(colour, want):
    assert float(Saturation()(plain(*map(float, colour)))) == pytest.approx(want, abs=1e-6)


def test_saturation_is_about_linear_in_chroma():
    for mix in (0.2, 0.5, 0.8):
        mixed = 0.5 + mix * (plain(0.0, 1.0, 0.0) - 0.5)  # towards grey
        assert float(Saturation()(mixed)) == pytest.approx(1 - mix, abs=0.01)
    corners = torch.rand(500, 3, 1, 1, generator=torch.Generator().manual_seed(0)).round()
    assert (torch.stack([Saturation()(c[None]) for c in corners]) > -1e-6).all()


def test_saturation_pulls_to_colour_and_with_a_minus_to_grey(generator):
    for sign, bar in ((1, lambda loss: loss < 0.05), (-1, lambda loss: loss > 0.99)):
        x = torch.rand(1, 3, 8, 8, generator=generator).requires_grad_()
        optimizer = torch.optim.Adam([x], lr=0.02)
        for _ in range(150):
            optimizer.zero_grad()
            (sign * Saturation())(x).backward()
            optimizer.step()
            x.data.clamp_(0, 1)
        assert bar(float(Saturation()(x.detach())))


def test_saturation_of_grey_has_a_finite_gradient():
    x = plain(0.3, 0.3, 0.3).clone().requires_grad_()
    Saturation()(x).backward()
    assert x.grad.abs().max() < 1e-6


def test_palette_distance_by_hand():
    x = torch.cat([plain(1.0, 0.0, 0.0), plain(0.0, 0.3, 0.6)], dim=-1)
    want = (0 + (0.3**2 + 0.4**2) / 3) / 2
    assert float(PaletteDistance(PALETTE)(x)) == pytest.approx(want, rel=1e-5)
    for bad, message in ((torch.zeros(0, 3), "at least one colour"), (torch.zeros(3), "P, 3")):
        with pytest.raises(InputError, match=message):
            PaletteDistance(bad)


def test_nearest_colours_are_those_of_all_distances(generator):
    image, palette = (
        torch.rand(2, 3, 9, 7, generator=generator),
        torch.rand(20, 3, generator=generator),
    )
    pixels = image.permute(0, 2, 3, 1).reshape(-1, 1, 3)
    index = (pixels - palette).square().sum(-1).argmin(dim=1)
    want = palette[index].view(2, 9, 7, 3).permute(0, 3, 1, 2)
    assert torch.equal(nearest_colours(image, palette), want)
    twice = torch.tensor([[0.0, 0, 0], [1, 1, 1]])
    assert nearest_colours(torch.full((1, 3, 1, 1), 0.5), twice).sum() == 0


def test_palette_distance_pulls_each_pixel_to_one_colour(generator):
    x = torch.rand(1, 3, 6, 6, generator=generator).requires_grad_()
    goal = nearest_colours(x, PALETTE)
    optimizer = torch.optim.SGD([x], lr=0.25 * x.numel())
    for _ in range(20):
        optimizer.zero_grad()
        PaletteDistance(PALETTE)(x).backward()
        optimizer.step()
    torch.testing.assert_close(x.detach(), goal, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "objective",
    [
        Smoothness(),
        Likeness(torch.full((1, 3, 4, 5), 0.4), torch.arange(20.0).view(1, 1, 4, 5)),
        Saturation(),
        PaletteDistance(PALETTE),
    ],
    ids=lambda o: o.name,
)
def test_gradients(objective, generator):
    x = torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(objective, x)
    said = objective.evaluate(x)
    assert said.terms == {objective.name: said.loss.detach()}
    assert said.score is None


def test_weighted_sums_leave_out_what_has_no_weight(generator):
    image = torch.rand(1, 3, 8, 8, generator=generator)
    smooth, vivid = Smoothness(), Saturation()
    both = weighted((2.0, smooth), (0.0, Likeness(image)), (-1.0, vivid))
    assert float(both(image)) == pytest.approx(2 * float(smooth(image)) - float(vivid(image)))
    assert set(both.evaluate(image).terms) == {"smoothness", "saturation"}
    assert weighted((0.0, smooth)) is None
    assert weighted() is None
