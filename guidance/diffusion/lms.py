"""Linear multistep sampling (LMS) on a schedule of diffusers, without SciPy."""

from __future__ import annotations

from collections.abc import Sequence

from diffusers import EulerDiscreteScheduler
from torch import Tensor

ORDER = 4  # derivatives that a step looks back on


class LinearMultistepScheduler(EulerDiscreteScheduler):
    """The LMS sampler of k-diffusion over the noise levels of `EulerDiscreteScheduler`.

    Steps are the same as those of diffusers' `LMSDiscreteScheduler`, which needs SciPy only to
    integrate a cubic numerically. Unlike there, a run that begins in the middle of the schedule
    uses only the derivatives that it has seen.
    """

    def set_timesteps(self, *args, **kwargs) -> None:
        """Choose the noise levels of a run and forget the derivatives of an earlier one."""
        super().set_timesteps(*args, **kwargs)
        self.derivatives: list[Tensor] = []

    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, return_dict: bool = True
    ) -> tuple[Tensor]:
        """Return the sample ``[B, C, H, W]`` at the next noise level, in a tuple.

        Args:
            model_output: the prediction of the type in the scheduler's configuration.
            timestep: not used; the position is `step_index`.
            sample: at the present level.
            return_dict: not used; there for the sake of the signature.
        """
        i = self.step_index
        sigma = self.sigmas[i]
        kind = self.config.prediction_type
        if kind == "epsilon":
            derivative = model_output
        else:
            clean = model_output
            if kind == "v_prediction":
                scale = sigma**2 + 1
                clean = sample / scale - model_output * (sigma / scale**0.5)
            derivative = (sample - clean) / sigma
        self.derivatives = [*self.derivatives[1 - ORDER :], derivative]
        points = self.sigmas[i + 1 - len(self.derivatives) : i + 1].flip(0).tolist()
        shares = weights(points, float(self.sigmas[i + 1]))
        terms = zip(shares, reversed(self.derivatives), strict=True)
        self._step_index += 1
        return (sample + sum(share * derivative for share, derivative in terms),)


def weights(points: Sequence[float], end: float) -> list[float]:
    """Return the integral of each Lagrange polynomial over `points` from ``points[0]`` to `end`.

    These are the weights of Adams-Bashforth methods with uneven steps (Hairer, Norsett & Wanner,
    "Solving Ordinary Differential Equations I", section III.5). Two points of Gauss-Legendre
    quadrature are exact for cubics, so for up to four `points`.
    """
    half, middle = (end - points[0]) / 2, (end + points[0]) / 2
    nodes = [middle - half / 3**0.5, middle + half / 3**0.5]
    shares = []
    for k, own in enumerate(points):
        values = []
        for node in nodes:
            value = 1.0
            for other in (*points[:k], *points[k + 1 :]):
                value *= (node - other) / (own - other)
            values.append(value)
        shares.append(half * sum(values))
    return shares
