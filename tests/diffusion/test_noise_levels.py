"""Timesteps and noise levels of a run, for every sampler and schedule."""

from __future__ import annotations

import diffusers
import numpy as np
import pytest
import torch
from known_data import SCHEDULES, Gaussian, run, seeded

from guidance.diffusion.noise_levels import MAX_NOISE, make_plan
from guidance.diffusion.samplers import SAMPLERS, timestep_count
from guidance.diffusion.sampling import Sampler
from guidance.errors import InputError, ModelError

LINEAR = SCHEDULES["linear"]


def powers(schedule: str) -> np.ndarray:
    """Return alpha^2 of the 1000 timesteps, in float64."""
    if schedule == "cosine":  # Nichol & Dhariwal 2021, eq. 17
        t = np.arange(1001) / 1000
        power = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - power[1:] / power[:-1], 0.999)
    elif schedule == "linear":
        betas = np.linspace(1e-4, 0.02, 1000)
    else:
        betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return np.cumprod(1 - betas)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_levels_are_those_of_the_timesteps(name, schedule):
    plan = make_plan(name, SCHEDULES[schedule], 30)
    times = plan.timesteps.double().numpy()
    ratio = np.sqrt((1 - powers(schedule)) / powers(schedule))
    expected = np.interp(times, np.arange(1000), ratio)
    found = np.array([sigma / alpha for alpha, sigma in plan.levels[:-1]])
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert plan.levels[-1] == (1, 0)


@pytest.mark.parametrize("spacing", [None, "leading", "trailing", "linspace"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_any_number_of_steps_is_sound(name, spacing):
    """Such as 61: "trailing" in diffusers makes 62 steps of it, to timestep -1."""
    config = {**LINEAR, "steps_offset": 1} | ({"timestep_spacing": spacing} if spacing else {})
    for steps in (1, 2, 3, 7, 30, 61, 300, 600, 999, 1000):
        plan = make_plan(name, config, steps)
        assert len(plan.timesteps) == len(plan.calls) == timestep_count(name, steps)
        assert len(plan.levels) == len(plan.timesteps) + 1
        assert plan.timesteps.min() >= 0
        assert 0.85 * 999 < plan.timesteps.max() <= 999  # the noisy end is not missed
        sigmas = np.array([level.sigma for level in plan.levels])
        assert (np.diff(sigmas) <= 0).all()
        assert len(np.unique(sigmas)) == steps + 1


@pytest.mark.parametrize("name", ["ddim", "pndm"])
def test_uneven_timesteps_are_followed(name):
    """diffusers would step by 3 from each of 300 timesteps that are 3 or 4 apart."""
    config = {**LINEAR, "timestep_spacing": "trailing"}
    data = Gaussian([0.5], [[0.25]])
    sampler = Sampler(name, config, 300)
    x = sampler.from_input(data.noisy(torch.tensor([[-1.0], [1.0]]), *sampler.level(0)), 0)
    x = run(sampler, x, data.clean)
    assert x.mean() == pytest.approx(0.5, abs=1e-3)
    assert x.std(correction=0) == pytest.approx(0.5, rel=0.015 if name == "ddim" else 0.003)
    x0, noise = torch.randn(2, 1, 1, 4, 4, generator=seeded())
    x = sampler.noised(x0, noise, 0)
    for i in range(len(sampler)):
        x = sampler.step(x, i, x0, noise)
        torch.testing.assert_close(x, sampler.noised(x0, noise, i + 1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [n for n, s in SAMPLERS.items() if s.karras])
def test_karras_spacing(name):
    sigmas = [sigma / alpha for alpha, sigma in make_plan(name, LINEAR, 10, karras=True).levels]
    sigmas = sorted(set(sigmas[:-1]), reverse=True)
    ends = np.sqrt(1 / powers("linear")[[-1, 0]] - 1) ** (1 / 7)
    expected = np.linspace(ends[0], ends[1], 10) ** 7  # Karras et al. 2022, eq. 5
    np.testing.assert_allclose(sigmas, expected, rtol=2e-3)


def test_a_cosine_schedule_is_cut_where_there_is_no_signal():
    cosine = SCHEDULES["cosine"]
    for name, solver in SAMPLERS.items():
        plan = make_plan(name, {**cosine, "timestep_spacing": "trailing"}, 20)
        alpha, sigma = plan.levels[0]
        assert (sigma / alpha <= MAX_NOISE) == solver.capped
        assert plan.timesteps[0] == (995 if solver.capped else 999)
    # Heun's method would end at more than 7 instead of 0.5
    data, sampler = Gaussian([0.0], [[0.25]]), Sampler("heun", cosine, 10)
    x = run(sampler, sampler.first(torch.ones(1, 1, 1, 1)), data.clean)
    assert float(x) == pytest.approx(0.5, rel=0.2)


def test_configurations_of_other_classes():
    """What one class leaves to its defaults is not what another one's defaults are."""
    theirs = diffusers.DDPMScheduler()  # betas are defaults and so are not handed on
    for name in SAMPLERS:
        assert make_plan(name, theirs.config, 10).levels == make_plan(name, LINEAR, 10).levels
    sigmoid = {"beta_schedule": "sigmoid"}  # that only DDPMScheduler knows
    for name in SAMPLERS:
        plan = make_plan(name, sigmoid, 10)
        assert plan.levels[0].alpha < 0.1
    learned = {**LINEAR, "variance_type": "learned_range", "clip_sample": True}
    learned |= {"thresholding": True, "algorithm_type": "dpmsolver", "use_karras_sigmas": True}
    x = torch.randn(1, 4, 2, 2, generator=seeded())
    for name in SAMPLERS:  # neither clips nor takes away the fourth channel
        sampler, plain = Sampler(name, learned, 10), Sampler(name, LINEAR, 10)
        ends = [s.step(s.first(x), 0, 9 * x, x, seeded()) for s in (sampler, plain)]
        assert torch.equal(*ends), name
    large = {**LINEAR, "variance_type": "fixed_large_log"}
    assert Sampler("ddpm", large, 10).step(x, 0, x, x, seeded()).isfinite().all()


def test_a_schedule_that_ends_without_signal():
    """Lin et al. 2023, section 3.1: only networks that predict v or x0 can begin there."""
    zero = {**SCHEDULES["scaled_linear"], "rescale_betas_zero_snr": True}
    zero |= {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    data = Gaussian([0.8], [[0.09]])
    normal = torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1)
    able = ["ddim", "ddpm", "dpm++", "dpm++sde", "euler", "euler-a", "lms", "unipc"]
    for name in able:
        sampler = Sampler(name, zero, 100)
        assert sampler.level(0).alpha < 1e-3
        x = run(sampler, sampler.first(normal), data.clean, "v_prediction")
        # the mean is not pulled towards 0 as by a schedule that leaves some signal
        assert x.mean() == pytest.approx(0.8, abs=0.3 if sampler.stochastic else 0.01), name
    for name in sorted(set(SAMPLERS) - set(able)):
        with pytest.raises(InputError, match=f"sampler {name} cannot run .* one of: ddim, ddpm"):
            Sampler(name, zero, 10)
    with pytest.raises(ModelError, match="a network that predicts noise cannot begin"):
        Sampler("ddim", {**zero, "prediction_type": "epsilon"}, 10)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"prediction_type": "flow_prediction"}, "one of epsilon, .* but is 'flow_prediction'"),
        ({"use_flow_sigmas": True}, "flow matching"),
        ({"timestep_type": "continuous"}, "continuous noise schedules"),
        ({"beta_schedule": "wavy"}, "the noise schedule is not supported: wavy"),
        ({"timestep_spacing": "wide"}, "sampler ddim cannot run this model: wide"),
    ],
)
def test_unknown_configurations(config, reason):
    with pytest.raises(ModelError, match=reason):
        Sampler("ddim", {**LINEAR, **config}, 10)


def test_bad_numbers():
    with pytest.raises(InputError, match="steps must be at least 1 and at most 1000 but is 1001"):
        Sampler("ddim", LINEAR, 1001)
    with pytest.raises(InputError, match="steps must be at least 1 and at most 1000 but is 0"):
        Sampler("ddim", LINEAR, 0)
    with pytest.raises(InputError, match="skip must be at least 0 and at most 9 but is 10"):
        Sampler("ddim", LINEAR, 10, skip=10)
    with pytest.raises(InputError, match="cannot make 1000 steps of 996 timesteps; ask for fewer"):
        Sampler("dpm++", SCHEDULES["cosine"], 1000)
