"""Guidance: its gradient against finite differences, its limits, and when it acts."""

from __future__ import annotations

import dataclasses

import pytest
import tiny_diffusion
import torch

from guidance.diffusion.guide import Guide
from guidance.diffusion.guided import guided, outside
from guidance.diffusion.sampling import Sampler
from guidance.diffusion.schedule_text import parse_steps

STEP = 3  # of ten: much noise is left


def scale(text: str):
    return parse_steps("clip_scale", text)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler("ddim", {"beta_schedule": "linear", "prediction_type": "epsilon"}, 10)


class Case:
    """A tiny real network in float64, and a smooth objective of its pictures."""

    def __init__(self, sampler: Sampler):
        network = tiny_diffusion.unet("ddpm", block_out_channels=(8, 8)).double()
        self.network = network.requires_grad_(False)
        self.sampler, self.level = sampler, sampler.level(STEP)
        rng = torch.Generator().manual_seed(3)
        self.z = torch.randn(2, 3, 8, 8, generator=rng, dtype=torch.float64)
        self.target = torch.rand(3, 8, 8, generator=rng, dtype=torch.float64)
        self.gain = 0.02  # pictures within (0, 1), where nothing is clamped

    def predict(self, z):
        return self.sampler.split(z, self.network(z, self.sampler.timestep(STEP)).sample, STEP)

    def show(self, x0):
        return 0.5 + self.gain * x0

    def objective(self, image):
        return 40 * (image - self.target).square().mean() + image.prod(1).mean()

    def guided(self, guide: Guide, z=None, factor: float = 2.0, **changed):
        parts = {"predict": self.predict, "show": self.show, "objective": self.objective} | changed
        z = self.z if z is None else z
        return guided(z, self.level, guide=guide, scale=factor, **parts)


@pytest.fixture(scope="module")
def case(sampler) -> Case:
    return Case(sampler)


FREE = Guide(scale("1"), clamp=0)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("excess", [0.0, 3.0])
def test_push_is_the_gradient(case, direct, excess):
    """eps' - eps = sigma · scale · dL/dz, by central differences in random directions."""
    if excess:
        case = Case(case.sampler)
        case.gain = 0.8  # now many pixels are out of range
        case.objective = lambda image: 0.0 * image.sum()  # its clamp has a kink, range has none
    with torch.no_grad():
        _, eps = case.predict(case.z)

    def loss(z):
        if direct:
            x0 = (z - case.level.sigma * eps) / case.level.alpha
        else:
            x0, _ = case.predict(z)
        pixels = case.show(x0)
        return len(z) * (case.objective(pixels) + excess * outside(pixels))

    found = case.guided(dataclasses.replace(FREE, direct=direct, excess=excess))
    push = (found.eps - eps) / case.level.sigma / 2.0
    rng = torch.Generator().manual_seed(1)
    for _ in range(4):
        way = torch.randn(case.z.shape, generator=rng, dtype=torch.float64)
        step = 1e-4 * way
        with torch.no_grad():
            slope = (loss(case.z + step) - loss(case.z - step)) / 2e-4
        assert abs(slope) > 1e-3
        torch.testing.assert_close((push * way).sum(), slope, rtol=1e-5, atol=1e-7)


def test_what_is_said_of_noise_is_followed_too(case):
    """Its gradient is that of the noisy pictures, whichever way the other is taken."""

    def noisy(z):
        return z.pow(3).mean()

    slope = 3 * case.z.square() / case.z[0].numel()
    for direct in (False, True):
        guide = dataclasses.replace(FREE, direct=direct, noisy=5.0)
        without = case.guided(dataclasses.replace(guide, noisy=0.0))
        push = (case.guided(guide, noisy=noisy).eps - without.eps) / case.level.sigma
        torch.testing.assert_close(push, 2.0 * 5.0 * slope)


def test_guided_prediction_is_consistent_and_better(case):
    with torch.no_grad():
        x0, _ = case.predict(case.z)
    found = case.guided(FREE)
    alpha, sigma = case.level
    torch.testing.assert_close(alpha * found.x0 + sigma * found.eps, case.z)
    torch.testing.assert_close(found.x0, (case.z - sigma * found.eps) / alpha)
    assert torch.equal(found.image, case.show(x0))  # what was scored, before it was moved
    after = case.objective(case.show(found.x0))
    assert after < case.objective(case.show(x0)) - 1e-3
    assert found.finite
    assert not any(x.requires_grad for x in (found.x0, found.eps, found.image))


def test_push_does_not_depend_on_the_rest_of_the_batch(case):
    whole = case.guided(Guide(scale("1"), clamp=0.01))
    for k in range(2):
        target = case.z[k : k + 1]
        alone = case.guided(Guide(scale("1"), clamp=0.01), target)
        torch.testing.assert_close(whole.eps[k : k + 1], alone.eps, rtol=1e-10, atol=1e-12)


def rms(x):
    return x.square().mean((1, 2, 3)).sqrt()


def test_clamp_limits_the_push_of_each_picture(case):
    with torch.no_grad():
        _, eps = case.predict(case.z)
    free = case.guided(FREE, factor=50.0).eps - eps
    assert rms(free).min() > 0.01 * case.level.sigma
    short = case.guided(Guide(scale("1"), clamp=0.01), factor=50.0).eps - eps
    torch.testing.assert_close(rms(short) / case.level.sigma, torch.full((2,), 0.01).double())
    torch.testing.assert_close(short / rms(short).view(-1, 1, 1, 1),
                               free / rms(free).view(-1, 1, 1, 1))  # fmt: skip


def test_clean_pictures_are_moved_by_at_most_one(case, sampler):
    """Where hardly any of the picture is known a small push would move it out of all bounds."""
    level = sampler.level(0)
    assert 0.05 * level.sigma**2 / level.alpha > 1
    first = Case(sampler)
    first.level = level
    moved = first.guided(Guide(scale("1"), clamp=0.05), factor=1e6).x0
    still = first.guided(Guide(scale("1"), clamp=0.05), factor=0.0).x0
    torch.testing.assert_close(rms(moved - still), torch.ones(2).double())


def test_a_picture_without_a_usable_gradient_goes_unguided(case):
    def spoilt(image):
        weight = torch.tensor([1.0, torch.nan]).view(-1, 1, 1, 1)
        return (image * weight).mean()

    with torch.no_grad():
        _, eps = case.predict(case.z)
    found = case.guided(FREE, objective=spoilt)
    assert not found.finite
    assert torch.equal(found.eps[1], eps[1])
    assert not torch.equal(found.eps[0], eps[0])
    assert found.x0.isfinite().all()


def test_pixels_out_of_range_can_come_back(case):
    def bright(x0):
        return x0 * 0 + 1.5 + 0.01 * x0

    down = case.guided(FREE, show=bright, objective=lambda image: image.mean())
    up = case.guided(FREE, show=bright, objective=lambda image: -image.mean())
    with torch.no_grad():
        _, eps = case.predict(case.z)
    assert down.image.max() == 1
    assert not torch.equal(down.eps, eps)
    assert torch.equal(up.eps, eps)  # further out is no better


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({}, "aaaaaaaaaa"),
        ({"every": 3}, "a  a  a  a"),
        ({"start": 0.3}, "   aaaaaaa"),
        ({"until": 0.3}, "aaa       "),
        ({"start": 0.25, "until": 0.75, "every": 2}, "   a a a  "),
        ({"scale": scale("[1]*5+[0]*5")}, "aaaaa     "),
        ({"scale": scale("[0]*2+[2]+[1]*7")}, "  baaaaaaa"),
    ],
)
def test_when_it_acts(options, want):
    guide = Guide(**{"scale": scale("1")} | options)
    scales = [guide.scale_at(i, 10) for i in range(10)]
    assert "".join({0: " ", 1: "a", 2: "b"}[s] for s in scales) == want


@pytest.mark.parametrize("total", [7, 29, 50, 1000])
def test_parts_of_a_run_are_not_lost_to_rounding(total):
    for k in range(total):
        first = Guide(scale("1"), start=k / total)
        last = Guide(scale("1"), until=k / total)
        assert [bool(first.scale_at(i, total)) for i in (max(0, k - 1), k)] == [k == 0, True]
        assert not last.scale_at(k, total)
        assert k == 0 or last.scale_at(k - 1, total)


def test_outside():
    pixels = torch.tensor([-0.5, 0.0, 0.5, 1.0, 2.0])
    assert outside(pixels).item() == pytest.approx((0.25 + 1) / 5)
