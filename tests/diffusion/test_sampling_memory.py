"""What samplers remember: runs resumed after any step, batches, and steps taken again."""

from __future__ import annotations

import pytest
import torch
from known_data import SCHEDULES, Gaussian, play, seeded, wave
from safetensors.torch import load, save

from guidance.diffusion.samplers import SAMPLERS
from guidance.diffusion.sampling import Sampler

LINEAR = SCHEDULES["linear"]
RANDOM = [name for name, solver in SAMPLERS.items() if solver.noise]
KARRAS = [(n, k) for n, s in SAMPLERS.items() for k in (False, True) if s.karras or not k]


@pytest.mark.parametrize(("name", "karras"), KARRAS)
def test_resumed_after_any_step_bit_for_bit(name, karras):
    def made() -> Sampler:
        return Sampler(name, LINEAR, 8, karras=karras, eta=0.5 if name == "ddim" else 0)

    x = made().first(torch.randn(2, 3, 4, 4, generator=seeded()))
    count = len(made())
    whole = play(made(), x, range(count))
    assert torch.equal(play(made(), x, range(count)), whole)
    for stop in range(count + 1):
        first, second = made(), made()
        middle = play(first, x, range(stop))
        second.load_state(load(save(first.state())))
        if stop:
            assert all(v.dtype in (torch.int64, torch.float32) for v in first.state().values())
        assert torch.equal(play(second, middle, range(stop, count)), whole), stop


@pytest.mark.parametrize("name", SAMPLERS)
def test_pictures_of_a_batch_are_independent(name):
    x = torch.randn(3, 2, 4, 4, generator=seeded())
    eta = 1.0 if name == "ddim" else 0.0
    sampler = Sampler(name, LINEAR, 6, eta=eta)
    assert sampler.stochastic == (name in RANDOM or eta > 0)
    together = play(sampler, sampler.first(x), range(len(sampler)))
    for k in range(3):
        alone, y = Sampler(name, LINEAR, 6, eta=eta), sampler.first(x[k : k + 1])
        for i in range(len(alone)):
            z = alone.to_input(y, i)
            y = alone.step(y, i, *alone.split(z, wave(z), i), [seeded(100 * k + i)])
        torch.testing.assert_close(together[k : k + 1], y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "karras"), KARRAS)
def test_noise_may_be_added_again(name, karras):
    """As if the sample at level i had been noised in one go; and the step is forgotten."""
    sampler = Sampler(name, LINEAR, 8, karras=karras)
    x = sampler.first(torch.randn(1, 1, 2, 2, generator=seeded()))
    one, none = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    for i in range(len(sampler)):
        x_next = play(sampler, x, range(i, i + 1))
        parts = [(one, none, none), (none, one, none), (none, none, one)]
        again = [sampler.again(sampler.noised(x0, n, i + 1), m, i) for x0, n, m in parts]
        signal, old, new = (float(sampler.to_input(y, i).mean()) for y in again)
        assert signal == pytest.approx(sampler.level(i).alpha, rel=1e-5)
        assert old**2 + new**2 == pytest.approx(sampler.level(i).sigma ** 2, rel=1e-4)
        assert new > 0.1 * sampler.level(i).sigma or sampler.level(i) == sampler.level(i + 1)
        assert torch.equal(play(sampler, x, range(i, i + 1)), x_next)  # as if never taken
        x = x_next


@pytest.mark.parametrize("name", ["ddim", "dpm++", "lms", "euler-a", "pndm"])
def test_repeated_steps_keep_the_distribution(name):
    """Recurrence with the perfect denoiser changes nothing but the pictures."""
    sampler, random = Sampler(name, LINEAR, 40), seeded(3)
    half = torch.randn(4000, 1, generator=seeded())
    x = sampler.from_input(Gaussian([0.3], [[0.5]]).noisy(half, *sampler.level(0)), 0)
    for i in range(len(sampler)):
        for turn in range(2):
            z = sampler.to_input(x, i)
            x0 = Gaussian([0.3], [[0.5]]).clean(z, *sampler.level(i))
            chance = random if sampler.stochastic else None
            x_next = sampler.step(x, i, x0, sampler.eps_of(z, x0, i), chance)
            if turn == 0:
                x = sampler.again(x_next, torch.randn(x.shape, generator=random), i)
        x = x_next
    assert x.mean() == pytest.approx(0.3, abs=0.04)
    # what the multistep ones remember is of other pictures than the noised ones
    limit = {"lms": 0.05, "pndm": 0.05, "dpm++": 0.15}.get(name, 0.3)
    assert x.var() == pytest.approx(0.5, rel=limit)
