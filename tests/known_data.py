"""Data whose best denoiser is known in closed form, to test samplers with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from guidance.diffusion.sampling import Sampler

SCHEDULES = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {  # as Stable Diffusion has it
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
Clean = Callable[[Tensor, float, float], Tensor]  # z, alpha, sigma → E[x0 | z]


class Gaussian:
    """Pictures ``[B, C, 1, 1]`` of N(mean, covariance)."""

    def __init__(self, mean: list[float], covariance: list[list[float]]) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float64)
        self.covariance = torch.tensor(covariance, dtype=torch.float64)

    def gain(self, alpha: float, sigma: float) -> Tensor:
        """Return K with E[x0 | z] = mean + K (z - alpha mean)."""
        size = len(self.mean)
        noisy = alpha**2 * self.covariance + sigma**2 * torch.eye(size).double()
        return alpha * self.covariance @ noisy.inverse()

    def clean(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return E[x0 | z]."""
        rest = z.flatten(1) - (alpha * self.mean).to(z)
        return (self.mean.to(z) + rest @ self.gain(alpha, sigma).T.to(z)).reshape(z.shape)

    def left(self, alpha: float, sigma: float) -> Tensor:
        """Return Cov[x0 | z]."""
        return self.covariance - alpha * self.gain(alpha, sigma) @ self.covariance

    def noisy(self, normal: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return z with the distribution that it has at a noise level, from ``[B, C]``."""
        size = len(self.mean)
        noisy = alpha**2 * self.covariance + sigma**2 * torch.eye(size).double()
        z = alpha * self.mean + normal.double() @ torch.linalg.cholesky(noisy).T
        return z.float()[..., None, None]


class TwoModes:
    """Numbers ``[B, 1, 1, 1]`` around +1, with probability `share`, and around -1."""

    def __init__(self, share: float, spread: float) -> None:
        self.share, self.spread = share, spread

    def right(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return the probability of the mode at +1 given z."""
        variance = (alpha * self.spread) ** 2 + sigma**2
        odds = torch.tensor(self.share / (1 - self.share)).log().to(z)
        return torch.sigmoid(odds + 2 * alpha * z / variance)

    def clean(self, z: Tensor, alpha: float, sigma: float) -> Tensor:
        """Return E[x0 | z]."""
        variance = (alpha * self.spread) ** 2 + sigma**2
        gain = alpha * self.spread**2 / variance
        sign = 2 * self.right(z, alpha, sigma) - 1
        return sign + gain * (z - alpha * sign)


def network(clean: Clean, kind: str) -> Clean:
    """Return the output of the perfect network of a prediction type."""

    def output(z: Tensor, alpha: float, sigma: float) -> Tensor:
        x0 = clean(z, alpha, sigma)
        eps = (z - alpha * x0) / sigma
        return {"sample": x0, "epsilon": eps, "v_prediction": alpha * eps - sigma * x0}[kind]

    return output


def seeded(seed: int = 0) -> torch.Generator:
    """Return a random generator."""
    return torch.Generator().manual_seed(seed)


def run(
    sampler, x: Tensor, clean: Clean, kind: str = "epsilon", *, loss=None, begin: int = 0
) -> Tensor:
    """Return the end of a run; `loss` (z, x0, level) guides it (Dhariwal & Nichol 2021, alg. 2)."""
    answer = network(clean, kind)
    for i in range(begin, len(sampler)):
        level = sampler.level(i)
        z = sampler.to_input(x, i).requires_grad_(loss is not None)
        x0, eps = sampler.split(z, answer(z, *level), i)
        if loss is not None:
            slope = torch.autograd.grad(loss(z, x0, level).sum(), z)[0]
            eps = eps + level.sigma * slope
            x0 = sampler.x0_of(z, eps, i)
        x = sampler.step(x, i, x0, eps, seeded(i) if sampler.stochastic else None)
    return x


def wave(z: torch.Tensor) -> torch.Tensor:
    """Stand for a network that is not linear."""
    return torch.tanh(2 * z) + 0.1


def play(sampler: Sampler, x: torch.Tensor, steps: range) -> torch.Tensor:
    """Take some steps with `wave`, with one generator a picture."""
    for i in steps:
        z = sampler.to_input(x, i)
        chances = [seeded(100 * k + i) for k in range(len(x))]
        x = sampler.step(x, i, *sampler.split(z, wave(z), i), chances)
    return x
