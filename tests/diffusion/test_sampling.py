"""Samplers on data whose best denoiser is known, against diffusers' own loop, and resumed."""

from __future__ import annotations

import diffusers
import pytest
import torch
from known_data import SCHEDULES, Gaussian, TwoModes, run, seeded, wave

from guidance.diffusion.noise_levels import Level, quiet
from guidance.diffusion.samplers import SAMPLERS, timestep_count
from guidance.diffusion.sampling import Sampler
from guidance.errors import InputError

LINEAR = SCHEDULES["linear"]
RANDOM = [name for name, solver in SAMPLERS.items() if solver.noise]
KARRAS = [(n, k) for n, s in SAMPLERS.items() for k in (False, True) if s.karras or not k]
STEPS = 100
# relative error of variances after them: the methods of order 1, and others below
TOLERANCE = {"ddim": 0.07, "euler": 0.07, "ddpm": 0.19, "euler-a": 0.19, "dpm++sde": 0.06}
DATA = Gaussian([0.4, -0.7, 0.1], [[0.30, 0.15, 0.0], [0.15, 0.25, -0.05], [0.0, -0.05, 0.5]])


def normals(name: str, size: int) -> torch.Tensor:
    """Return ``[B, size]`` with mean 0 and covariance 1 exactly; more of them for random steps."""
    half = torch.randn(4000, size, generator=seeded(7)) if name in RANDOM else torch.eye(size)
    both = torch.cat([half, -half])
    spread = torch.linalg.cholesky(both.T @ both / len(both))
    return both @ torch.linalg.inv(spread).T


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = x.flatten(1).double()
    return rows.mean(0), rows.T.cov(correction=0)


def check_moments(name: str, x: torch.Tensor, wanted: Gaussian, slack: float = 0.0):
    found, spread = moments(x)
    scale = wanted.covariance.diagonal().sqrt()
    shift = (found - wanted.mean) / scale
    error = (spread - wanted.covariance) / scale / scale[:, None]
    assert shift.abs().max() < (0.04 if name in RANDOM else 0.002)
    assert error.abs().max() < TOLERANCE.get(name, 0.015) + slack


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_gaussian_data_are_reached(name, schedule):
    sampler = Sampler(name, SCHEDULES[schedule], STEPS)
    x = sampler.from_input(DATA.noisy(normals(name, 3), *sampler.level(0)), 0)
    # the last step there begins with more noise, and is of order 1 for most
    slack = 0.03 if schedule == "scaled_linear" else 0
    check_moments(name, run(sampler, x, DATA.clean), DATA, slack)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_may_begin_late(name):
    sampler, whole = Sampler(name, LINEAR, STEPS, skip=40), Sampler(name, LINEAR, STEPS)
    assert len(sampler) == timestep_count(name, STEPS - 40)
    later = {"heun": 80, "pndm": 41}.get(name, 40)
    assert sampler.level(0) == whole.level(later)
    assert sampler.timestep(0) == whole.timestep(later)
    x = sampler.from_input(DATA.noisy(normals(name, 3), *sampler.level(0)), 0)
    check_moments(name, run(sampler, x, DATA.clean), DATA)


@pytest.mark.parametrize("skip", [0, 1, 5, 7])
@pytest.mark.parametrize(("name", "karras"), [c for c in KARRAS if c[0] not in RANDOM])
def test_the_true_noise_leads_to_the_next_level(name, karras, skip):
    """Whatever is remembered, and to the picture itself in the end."""
    sampler = Sampler(name, LINEAR, 8, karras=karras, skip=skip)
    x0, noise = torch.randn(2, 1, 2, 4, 4, generator=seeded())
    x = sampler.noised(x0, noise, 0)
    for i in range(len(sampler)):
        x = sampler.step(x, i, x0, noise)
        z, wanted = (sampler.to_input(y, i + 1) for y in (x, sampler.noised(x0, noise, i + 1)))
        torch.testing.assert_close(z, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(x, x0, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "karras"), KARRAS)
def test_guidance_reaches_the_posterior(name, karras):
    """Guided by -log p(y | z) for y = x0 + noise, samples are of p(x0 | y)."""
    prior, y, tau = Gaussian([0.2], [[0.36]]), 1.0, 0.5
    gain = 0.36 / (0.36 + tau**2)
    exact = Gaussian([0.2 + gain * (y - 0.2)], [[0.36 * (1 - gain)]])

    def loss(z, x0, level):
        return (y - x0) ** 2 / 2 / (tau**2 + float(prior.left(*level)))

    sampler = Sampler(name, LINEAR, STEPS, karras=karras)
    x = sampler.from_input(exact.noisy(normals(name, 1), *sampler.level(0)), 0)
    check_moments(name, run(sampler, x, prior.clean, loss=loss), exact)


@pytest.mark.parametrize("name", SAMPLERS)
def test_guidance_moves_mode_shares(name):
    """Guided by -log p(label | z) for a label that is right 3 times of 4."""
    data, right = TwoModes(share=0.4, spread=0.2), 0.75
    count = 3000
    normal = torch.special.ndtri((torch.arange(count) + 0.5) / count)
    normal = normal[torch.randperm(count, generator=seeded())].reshape(-1, 1, 1, 1)
    sampler = Sampler(name, LINEAR, 60)

    def loss(z, x0, level):
        mode = data.right(z, *level)
        return -torch.log(right * mode + (1 - right) * (1 - mode))

    plain = run(sampler, sampler.first(normal), data.clean)
    guided = run(sampler, sampler.first(normal), data.clean, loss=loss)
    posterior = right * 0.4 / (right * 0.4 + (1 - right) * 0.6)
    slack = 0.04 if name in RANDOM else 0.02
    assert (plain > 0).float().mean() == pytest.approx(0.4, abs=slack)
    assert (guided > 0).float().mean() == pytest.approx(posterior, abs=slack)
    assert guided.abs().mean() == pytest.approx(1, abs=0.03)  # and stay modes
    assert guided[guided > 0].std() == pytest.approx(0.2, rel=0.2)


@pytest.mark.parametrize("name", SAMPLERS)
def test_prediction_types_agree(name):
    noise = torch.randn(4, 1, 2, 2, generator=seeded())
    data = TwoModes(share=0.3, spread=0.4)
    ends = []
    for kind in ("epsilon", "v_prediction", "sample"):
        sampler = Sampler(name, {**SCHEDULES["scaled_linear"], "prediction_type": kind}, 12)
        ends.append(run(sampler, sampler.first(noise), data.clean, kind))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=2e-4)
    torch.testing.assert_close(ends[2], ends[0], rtol=0, atol=2e-4)


@pytest.mark.parametrize(("name", "karras"), [c for c in KARRAS if c[0] != "lms"])
def test_the_same_as_diffusers(name, karras):
    solver = SAMPLERS[name]
    config = {**SCHEDULES["scaled_linear"], "clip_sample": False}
    options = {**solver.options, **({"use_karras_sigmas": True} if karras else {})}
    ours = Sampler(name, config, 20, karras=karras)
    with quiet():
        theirs = getattr(diffusers, solver.scheduler).from_config(config, **options)
        theirs.set_timesteps(20)
    assert theirs.timesteps.tolist() == [ours.timestep(i) for i in range(len(ours))]
    x = y = ours.first(torch.randn(2, 3, 4, 4, generator=seeded()))
    assert torch.equal(x, torch.randn(2, 3, 4, 4, generator=seeded()) * theirs.init_noise_sigma)
    for i, t in enumerate(theirs.timesteps[: -1 if name == "deis" else None]):
        z = theirs.scale_model_input(x, t)
        torch.testing.assert_close(ours.to_input(y, i), z, rtol=1e-5, atol=1e-5)
        noise = {"generator": seeded(i)} if solver.noise else {}
        with torch.no_grad(), quiet():
            x = theirs.step(wave(z), t, x, return_dict=False, **noise)[0]
        z = ours.to_input(y, i)
        y = ours.step(y, i, *ours.split(z, wave(z), i), seeded(i))
        torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-4)


def test_ddim_needs_no_chance_and_eta_adds_it():
    sampler = Sampler("ddim", LINEAR, 30)
    x = sampler.first(torch.randn(4000, 1, 1, 1, generator=seeded()))
    data = Gaussian([0.0], [[0.25]])
    assert not sampler.stochastic
    assert torch.equal(run(sampler, x, data.clean), run(Sampler("ddim", LINEAR, 30), x, data.clean))
    # with eta = 1, each step is one of DDPM (Song et al. 2021, section 4.1)
    random, ddpm = Sampler("ddim", LINEAR, 30, eta=1), Sampler("ddpm", LINEAR, 30)
    torch.testing.assert_close(
        run(random, x, data.clean), run(ddpm, x, data.clean), rtol=0, atol=1e-4
    )


def test_inputs_and_samples():
    for name in ("ddim", "euler", "dpm++"):
        sampler = Sampler(name, LINEAR, 10, karras=name == "euler")
        assert sampler.level(len(sampler)) == Level(1.0, 0.0)
        x0, noise = torch.randn(2, 2, 3, 4, 4, generator=seeded())
        assert sampler.noised(x0, noise, 10) is x0
        for i in range(10):
            alpha, sigma = sampler.level(i)
            assert alpha**2 + sigma**2 == pytest.approx(1)
            x = sampler.noised(x0, noise, i)
            z = sampler.to_input(x, i)
            torch.testing.assert_close(z, alpha * x0 + sigma * noise)
            torch.testing.assert_close(sampler.from_input(z, i), x)
            if name == "euler":  # "variance exploding"
                torch.testing.assert_close(x, x0 + sigma / alpha * noise)
            torch.testing.assert_close(sampler.eps_of(z, x0, i), noise, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(sampler.x0_of(z, noise, i), x0, rtol=1e-3, atol=0.02)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_split_is_differentiable(kind):
    sampler = Sampler("dpm++", {**LINEAR, "prediction_type": kind}, 10)
    z, output = torch.randn(2, 1, 2, 3, 3, dtype=torch.float64, generator=seeded())
    alpha, sigma = sampler.level(4)
    x0, eps = sampler.split(z, output, 4)
    torch.testing.assert_close(alpha * x0 + sigma * eps, z)
    meant = {"epsilon": eps, "sample": x0, "v_prediction": alpha * eps - sigma * x0}[kind]
    torch.testing.assert_close(meant, output)
    inputs = (z.requires_grad_(), output.requires_grad_())
    assert torch.autograd.gradcheck(lambda z, out: sampler.split(z, out, 4), inputs)
    x = sampler.from_input(z.float(), 4)
    stepped = sampler.step(x, 4, *(t.float() for t in sampler.split(z, output, 4)))
    assert not stepped.requires_grad
    assert not any(v.requires_grad for v in sampler.state().values())


def test_bad_input():
    with pytest.raises(InputError, match=r"unknown sampler 'eulr'; did you mean euler"):
        Sampler("eulr", LINEAR, 10)
    sampler = Sampler("euler-a", LINEAR, 10)
    x = torch.zeros(2, 1, 2, 2)
    with pytest.raises(InputError, match="sampler euler-a needs random generators"):
        sampler.step(x, 0, x, x)
    with pytest.raises(InputError, match=r"one a picture \(2\) but are 3"):
        sampler.step(x, 0, x, x, [seeded()] * 3)
    with pytest.raises(InputError, match="step must be at least 0 and at most 9 but is 10"):
        sampler.step(x, 10, x, x, seeded())
    with pytest.raises(InputError, match="level must be at least 0 and at most 10 but is -1"):
        sampler.level(-1)
    fresh = Sampler("dpm++", LINEAR, 10)
    with pytest.raises(InputError, match="only the last step, none, can be repeated but i is 0"):
        fresh.again(x, x, 0)
    fresh.step(x, 0, x, x)
    with pytest.raises(InputError, match="only the last step, 0, can be repeated but i is 1"):
        fresh.again(x, x, 1)
    for state in (Sampler("lms", LINEAR, 10).state(), {}):
        with pytest.raises(InputError, match=r"the state must be of sampler dpm\+\+"):
            fresh.load_state(state)
    with pytest.raises(InputError, match=r"state of sampler dpm\+\+ lacks some of its entries"):
        fresh.load_state({"model_outputs": torch.tensor(2)})
