"""Classifier-free guidance, rescaling, thresholding and the clamp of gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_data import SCHEDULES, Gaussian, seeded

from guidance.diffusion.classifier_free import cfg, dynamic_threshold, rescale
from guidance.diffusion.guided import clamp_rms
from guidance.diffusion.sampling import Sampler
from guidance.errors import InputError


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=seeded(seed))


def test_cfg_values():
    cond, uncond = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 4.0]])
    assert torch.equal(cfg(cond, uncond, 3.0), torch.tensor([[2.0, -2.0]]))
    assert torch.equal(cfg(cond, uncond, -1.0), torch.tensor([[0.0, 6.0]]))
    cond, uncond = noise(2, 3, 8, 8).float(), noise(2, 3, 8, 8, seed=1).float() * 1e4
    assert torch.equal(cfg(cond, uncond, 1), cond)  # plain arithmetic would round here
    assert not torch.equal(uncond + 1.0 * (cond - uncond), cond)
    assert torch.equal(cfg(cond, uncond, 0), uncond)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0, -1.0])
def test_cfg_goes_on_beyond_the_condition(scale):
    """Between Gaussians of one variance, its flow ends at the mean extrapolated by the scale."""
    prior, given = Gaussian([0.2], [[0.5]]), Gaussian([0.6], [[0.5]])
    wanted = Gaussian([0.2 + scale * 0.4], [[0.5]])
    sampler = Sampler("dpm++", SCHEDULES["linear"], 100)
    start = torch.tensor([[-1.0], [1.0]])
    x = sampler.from_input(wanted.noisy(start, *sampler.level(0)), 0)
    for i in range(100):
        z, level = sampler.to_input(x, i), sampler.level(i)
        answers = [sampler.eps_of(z, d.clean(z, *level), i) for d in (given, prior)]
        eps = cfg(*answers, scale)
        x = sampler.step(x, i, sampler.x0_of(z, eps, i), eps)
    assert float(x.mean()) == pytest.approx(0.2 + scale * 0.4, abs=2e-3)
    assert float(x.std(correction=0)) == pytest.approx(0.5**0.5, rel=3e-3)


def test_rescale():
    mixed, cond = 5 * noise(3, 4, 8, 8) + 1, noise(3, 4, 8, 8, seed=1)
    cond = cond * torch.tensor([0.5, 1.0, 9.0]).double().reshape(3, 1, 1, 1)
    dims = (1, 2, 3)
    whole = rescale(mixed, cond, 1)
    torch.testing.assert_close(whole.std(dims), cond.std(dims))  # of each picture
    torch.testing.assert_close(
        whole / mixed, (cond.std(dims) / mixed.std(dims))[:, None, None, None].expand_as(mixed)
    )
    # Lin et al. 2023, eq. 16
    torch.testing.assert_close(rescale(mixed, cond, 0.7), 0.7 * whole + 0.3 * mixed)
    assert rescale(mixed, cond, 0) is mixed
    flat = torch.ones(1, 3, 2, 2)
    assert torch.equal(rescale(flat, torch.randn(1, 3, 2, 2, generator=seeded()), 0.5), flat)


def test_dynamic_threshold():
    x0 = noise(3, 3, 16, 16) * torch.tensor([0.2, 1.0, 5.0]).double().reshape(3, 1, 1, 1)
    for share in (0.5, 0.9, 0.995, 1.0):
        for limit in (1.0, 0.3):
            found = dynamic_threshold(x0, share, limit)
            for k in range(3):
                size = np.abs(x0[k].numpy())
                bound = max(np.quantile(size, share, method="inverted_cdf"), limit)
                expected = np.clip(x0[k].numpy(), -bound, bound) * limit / bound
                np.testing.assert_allclose(found[k].numpy(), expected, rtol=1e-12)
                torch.testing.assert_close(
                    dynamic_threshold(x0[k : k + 1], share, limit)[0], found[k]
                )
    small = noise(1, 3, 4, 4).clamp(-1, 1)
    assert torch.equal(dynamic_threshold(small, 0.9), small)  # nothing is stretched
    assert dynamic_threshold(torch.full((1, 3, 4, 4), 7.0), 0.9).abs().max() == 1


def test_dynamic_threshold_of_many_values():
    """`torch.quantile` refuses more than 2^24 values."""
    x0 = torch.zeros(1, 1, 4097, 4096)
    x0[..., :64] = 2
    assert dynamic_threshold(x0, 0.9).max() == 1


def test_clamp_rms():
    grad = noise(4, 3, 8, 8) * torch.tensor([0.0, 0.01, 1.0, 50.0]).double().reshape(4, 1, 1, 1)
    found = clamp_rms(grad, 0.05)
    rms = found.square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(rms[2:], torch.full((2,), 0.05).double())
    assert torch.equal(found[:2], grad[:2])  # zero, and already short
    cosine = torch.nn.functional.cosine_similarity(found[2:].flatten(1), grad[2:].flatten(1))
    torch.testing.assert_close(cosine, torch.ones(2).double())
    for size in (1e30, 1e-30):  # their squares are not finite, or zero
        huge = torch.full((1, 3, 4, 4), size)
        limit = size / 10
        torch.testing.assert_close(clamp_rms(huge, limit), torch.full((1, 3, 4, 4), limit))
    half = torch.full((1, 3, 4, 4), 6e4, dtype=torch.float16)
    assert clamp_rms(half, 0.5).unique().tolist() == pytest.approx([0.5], rel=1e-3)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (
            lambda x: cfg(x, x[:1], 2),
            r"uncond must have shape \[2, 3, 4, 4\] but has \[1, 3, 4, 4\]",
        ),
        (lambda x: cfg(x, x, float("nan")), "scale must be finite but is nan"),
        (lambda x: rescale(x, x[:1], 1), r"cond must have shape \[2, 3, 4, 4\]"),
        (lambda x: rescale(x, x, 1.5), "phi must be at least 0 and at most 1 but is 1.5"),
        (lambda x: dynamic_threshold(x, 0), "percentile must be greater than 0 and at most 1"),
        (lambda x: dynamic_threshold(x, 0.9, 0), "limit must be greater than 0 but is 0"),
        (lambda x: clamp_rms(x, 0.0), "limit must be greater than 0 but is 0.0"),
        (lambda x: clamp_rms(x, float("nan")), "limit must be greater than 0 but is nan"),
    ],
)
def test_bad_input(call, reason):
    with pytest.raises(InputError, match=reason):
        call(noise(2, 3, 4, 4))
