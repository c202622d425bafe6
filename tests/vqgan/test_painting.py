"""Behaviour of the painting: it fits a target, keeps its limits, mask and average."""

from __future__ import annotations

import pytest
import tiny_vqgan
import torch

from guidance.errors import InputError
from guidance.models.latents import wrap
from guidance.objective.regularisers import Likeness
from guidance.step import checkpoint
from guidance.step.loop import run
from guidance.vqgan.camera import Camera
from guidance.vqgan.descent import OPTIMIZERS, Descent
from guidance.vqgan.generator import Draw, Painting, Still

SIZE = (16, 24)


@pytest.fixture(scope="module")
def spaces():
    return {k: wrap(tiny_vqgan.build(k), k).place("cpu") for k in tiny_vqgan.NAMES}


@pytest.fixture
def space(spaces):
    return spaces["vq"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def start(space, seed: int = 0) -> torch.Tensor:
    return space.random(SIZE[0] // space.factor, SIZE[1] // space.factor, seeded(seed))


def target(space, seed: int = 9) -> torch.Tensor:
    """Return a picture that the decoder can make."""
    with torch.no_grad():
        return space.decode(start(space, seed))


def fit(painting: Painting, wanted: torch.Tensor, steps: int, first: int = 0) -> list[float]:
    return [step.loss for step in run(painting, Likeness(wanted), steps, start=first)]


@pytest.mark.parametrize(("kind", "share"), [("vq", 0.3), ("kl", 0.03), ("tiny", 0.08)])
def test_fits_a_target_image_through_the_latents(spaces, kind, share):
    space = spaces[kind]
    losses = fit(Painting(space, start(space), SIZE, descent=Descent(lr=0.1)), target(space), 150)
    assert losses[0] > 1e-4
    assert losses[-1] < share * losses[0]


def test_a_picture_of_codes_stays_where_it_fits(space):
    losses = fit(Painting(space, start(space, 9), SIZE, descent=Descent(lr=0.0)), target(space), 2)
    assert losses[0] < 1e-12


@pytest.mark.parametrize("name", [*OPTIMIZERS, "Adam", "RMSprop"])
def test_every_optimiser_lowers_the_loss(spaces, name):
    space = spaces["kl"]
    rates = {"sgd": 300.0, "adagrad": 0.3, "radam": 0.15}
    painting = Painting(
        space, start(space), SIZE, descent=Descent(rates.get(name, 0.05), optimizer=name)
    )
    losses = fit(painting, target(space), 40)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_resume_is_exact_with_every_optimiser(space, name, ema, tmp_path):
    def painting():
        return Painting(
            space,
            start(space),
            SIZE,
            descent=Descent(lr=0.3, lr_end=0.1, levels=3, optimizer=name),
            ema=ema,
            draw=Draw(0.5),
        )

    whole, first, second = painting(), painting(), painting()
    fit(whole, target(space), 8)
    stream = run(first, Likeness(target(space)), 8)
    for _ in range(4):
        next(stream)
    checkpoint.save(tmp_path / "run", first, 4, "x")
    done = checkpoint.load(tmp_path / "run", second, "x")
    fit(second, target(space), 8, first=done)
    assert torch.equal(whole.z, second.z)
    assert torch.equal(whole.render(*SIZE), second.render(*SIZE))
    assert not torch.equal(whole.z, first.z)


def test_coarse_moves_go_into_the_latents(spaces):
    space = spaces["kl"]
    z = start(space)
    painting = Painting(space, z, SIZE, descent=Descent(lr=0.1, levels=9, optimizer="sgd"))
    assert [tuple(m.shape[-2:]) for m in painting.moves] == [(2, 3)]  # no further than 2 cells
    gradient = torch.autograd.grad(space.decode(leaf := z.clone().requires_grad_()).sum(), leaf)[0]
    painting.prepare(0, 10)
    painting.step(lambda image: image.sum())
    # the coarse gradient is the transposed interpolation of the fine one
    coarse = torch.zeros(1, 4, 2, 3, requires_grad=True)
    up = torch.nn.functional.interpolate
    (up(coarse, z.shape[-2:], mode="bilinear") * gradient).sum().backward()
    step = gradient + up(coarse.grad, z.shape[-2:], mode="bilinear")
    torch.testing.assert_close(painting.z.detach(), z - 0.1 * step, rtol=1e-4, atol=1e-5)
    assert not any(m.any() for m in painting.moves)


def test_levels_move_a_region_as_one(spaces):
    space = spaces["kl"]
    losses = []
    for levels in (1, 3):
        painting = Painting(space, 0 * start(space), SIZE, descent=Descent(lr=0.02, levels=levels))
        losses.append(fit(painting, torch.full((1, 3, *SIZE), 0.9), 8)[-1])
    assert losses[1] < losses[0]


def test_the_decoder_is_not_in_the_checkpoint(space):
    painting = Painting(space, start(space), SIZE, ema=0.5)
    assert set(painting.state_dict()) == {"z", "total", "weight"}
    assert set(Painting(space, start(space), SIZE).state_dict()) == {"z"}


def test_latents_stay_in_the_range_of_the_codebook(space):
    painting = Painting(
        space, 100 * torch.randn(1, 4, 4, 6, generator=seeded(1)), SIZE, descent=Descent(lr=50.0)
    )
    for _ in run(painting, Likeness(target(space)), 3):
        z = painting.z.detach()[0].flatten(1).T
        assert (z >= space.low).all()
        assert (z <= space.high).all()


def test_mask_keeps_the_original_bit_for_bit(space):
    original = torch.rand(1, 3, *SIZE, generator=seeded(3))
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 10:] = torch.rand(14, generator=seeded(4))
    mask[..., 12:] = 1
    painting = Painting(
        space, start(space), SIZE, descent=Descent(lr=0.3), still=Still(mask, original)
    )
    fit(painting, target(space), 10)
    for image in (painting.image().detach(), painting.render(*SIZE)):
        assert torch.equal(image[..., :10], original[..., :10])
        assert torch.equal(image[..., 12:], space.decode(painting.z)[..., 12:])
        assert not torch.equal(image[..., 10:12], original[..., 10:12])


def test_without_an_average_what_is_scored_is_saved(space):
    painting = Painting(space, start(space), SIZE, descent=Descent(lr=0.3))
    fit(painting, target(space), 3)
    assert torch.equal(painting.render(*SIZE), painting.image().detach())
    large = painting.render(SIZE[0] * 2, SIZE[1] * 2)
    assert large.shape == (1, 3, 32, 48)
    small = torch.nn.functional.avg_pool2d(large, 2)
    assert (small - painting.image()).abs().mean() < 0.03


def test_average_is_the_unbiased_mean(space):
    painting = Painting(space, start(space), SIZE, descent=Descent(lr=0.3), ema=0.8)
    assert torch.equal(painting.average(), painting.z)
    seen = []
    for step in run(painting, Likeness(target(space)), 5):
        seen.append(painting.z.detach().clone())
    weights = [0.8 ** (4 - i) for i in range(5)]
    expected = sum(w * z for w, z in zip(weights, seen, strict=True)) / sum(weights)
    assert torch.allclose(painting.average(), expected, atol=1e-6)
    assert torch.equal(painting.render(*SIZE), space.decode(painting.average()))


def test_a_step_that_is_not_finite_leaves_the_average(space):
    painting = Painting(space, start(space), SIZE, descent=Descent(lr=0.3), ema=0.8)
    fit(painting, target(space), 2)
    before = painting.average().clone()
    update = painting.step(lambda image: image.sum() * torch.nan)
    assert not update.finite
    assert torch.equal(painting.average(), before)


def test_take_goes_on_from_another_picture(space):
    painting = Painting(space, start(space), SIZE, descent=Descent(lr=0.3), ema=0.8)
    fit(painting, target(space), 3)
    moments = painting.optimizer.state[painting.z]["exp_avg"].clone()
    picture = torch.rand(1, 3, *SIZE, generator=seeded(5))
    painting.take(picture)
    encoded = space.encode(picture)
    low, high = space.low.view(-1, 1, 1), space.high.view(-1, 1, 1)
    assert torch.equal(painting.z, encoded.clamp(low, high))
    assert torch.equal(painting.average(), painting.z)
    assert torch.equal(painting.optimizer.state[painting.z]["exp_avg"], moments)
    assert moments.abs().sum() > 0


def test_camera_is_called_before_each_step_and_keeps_the_rate(space):
    class Watching(Camera):
        def __init__(self):
            self.seen = []

        def before(self, painting, index):
            self.seen.append(index)
            painting.take(torch.full((1, 3, *SIZE), index / 10))

        def view(self, image):
            return 1 - image

    camera = Watching()
    painting = Painting(
        space, start(space), SIZE, descent=Descent(lr=0.2, lr_end=0.1), camera=camera
    )
    stream = run(painting, Likeness(target(space)), 3)
    for index in range(3):
        next(stream)
        assert painting.optimizer.param_groups[0]["lr"] == 0.2
    assert camera.seen == [0, 1, 2]
    assert torch.equal(painting.picture(), painting.image().detach())
    assert torch.equal(painting.render(*SIZE), 1 - painting.picture())


def test_the_rate_falls_over_the_last_third(space):
    painting = Painting(space, start(space), SIZE, descent=Descent(lr=0.2, lr_end=0.1))
    rates = []
    for index in (0, 59, 69, 84, 99):
        painting.prepare(index, 100)
        rates.append(painting.optimizer.param_groups[0]["lr"])
    assert rates[:2] == [0.2, 0.2]
    assert rates[2] == pytest.approx(0.02 + 0.18 * 0.9)
    assert rates[3] == pytest.approx(0.02 + 0.18 * 0.45)
    assert rates[4] == pytest.approx(0.02)
    painting.prepare(0, 1)
    assert painting.optimizer.param_groups[0]["lr"] == pytest.approx(0.02)


def test_random_codes_depend_on_seed_and_step(space):
    painting = Painting(space, start(space), SIZE, draw=Draw(temperature=2.0, seed=3))
    painting.prepare(0, 9)
    first = painting.image().detach()
    assert torch.equal(painting.image(), first)
    painting.prepare(1, 9)
    assert not torch.equal(painting.image(), first)
    assert torch.equal(painting.render(*SIZE), space.decode(painting.z))


BAD = {
    "size between cells": ({"size": (18, 23)}, "multiple of 4 pixels for vq but is 23x18; the nearest are 24x16 and 24x20"),  # noqa: E501
    "no size": ({"size": (0, 24)}, "nearest are 24x8 and "),
    "another grid": ({"z": torch.zeros(1, 4, 4, 4)}, r"z must have shape \[1, 4, 4, 6\]"),
    "another depth": ({"z": torch.zeros(1, 3, 4, 6)}, r"z must have shape \[1, 4, 4, 6\]"),
    "ema 1": ({"ema": 1.0}, "ema must be"),
    "negative temperature": ({"draw": Draw(-1.0)}, "temperature must be at least 0"),
    "unknown optimizer": ({"descent": Descent(optimizer="adma")}, "unknown optimizer 'adma'; did you mean adam"),  # noqa: E501
    "small mask": ({"still": Still(torch.ones(1, 1, 8, 8), torch.ones(1, 3, 16, 24))}, "mask must have shape"),  # noqa: E501
    "mask above 1": ({"still": Still(torch.ones(1, 1, 16, 24) * 2, torch.ones(1, 3, 16, 24))}, r"mask must be in \[0, 1\]"),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, space):
    change, expected = BAD[case]
    arguments = {"z": start(space), "size": SIZE} | change
    with pytest.raises(InputError, match=expected):
        Painting(space, **arguments)
