"""Sampler, configuration and number of steps → scheduler of diffusers with its noise levels.

diffusers' classes differ in defaults, in what they accept and in where a run may begin. This
module evens that out, so that `guidance.diffusion.sampling` can treat them alike:

- the betas are computed once and handed over, since each class has its own defaults for them;
- a spacing of timesteps that repeats or leaves the range, or misses the noisy part of the
  schedule (as "leading" does with few steps: Lin et al. 2023, arXiv:2305.08891, section 3.3),
  is replaced by "trailing" or "linspace";
- a cosine schedule ends in noise that solvers of ratios cannot work with, so it is cut there;
- DDIM and PNDM assume that timesteps are evenly spaced; here they count in steps of the run
  ("respacing": Nichol & Dhariwal 2021, arXiv:2102.09672, section 4), right for any number.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import warnings
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from guidance.conventions import check_count
from guidance.diffusion.samplers import PREDICTIONS, SAMPLERS, Solver
from guidance.errors import InputError, ModelError, line

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

COVERAGE = 0.85  # a run from pure noise begins above this part of the timesteps
MAX_NOISE = 164.0  # sigma / alpha; exp(5.1)
TINY = 2.0**-24  # signal power that stands for none, as in diffusers


class Level(NamedTuple):
    """The noise level of z = alpha * x0 + sigma * eps, with alpha^2 + sigma^2 = 1."""

    alpha: float
    sigma: float


CLEAN = Level(1.0, 0.0)


@dataclass(frozen=True)
class Plan:
    """The steps of one run, i = 0 being the first.

    Attributes:
        solver: the sampler's entry in `SAMPLERS`.
        scheduler: of diffusers, ready for the first step.
        timesteps: of the network ``[n]``, on the CPU.
        calls: the timesteps that `scheduler` is called with.
        levels: n + 1 noise levels, the last one clean.
        begin: the scheduler's index of the first step.
    """

    solver: Solver
    scheduler: SchedulerMixin
    timesteps: Tensor
    calls: list[Any]
    levels: list[Level]
    begin: int


def make_plan(
    name: str, config: Mapping[str, Any], steps: int, *, karras: bool = False, skip: int = 0
) -> Plan:
    """Return the steps of a run.

    Args:
        name: canonical.
        config: of the diffusers scheduler that the network was trained with.
        steps: noise levels from pure noise to the picture.
        karras: space them as Karras et al. 2022 do.
        skip: how many of the noisiest levels are left out.

    Raises:
        InputError: more steps than the network was trained with, or none that are left; or the
            sampler cannot run this schedule.
        ModelError: the configuration is of a kind that is not supported.
    """
    facts = Facts(config)
    check_count("steps", steps, 1, facts.count)
    check_count("skip", skip, 0, steps - 1)
    solver = SAMPLERS[name]
    scheduler = _scheduler(solver, facts, steps, karras)
    if hasattr(scheduler, "sigmas"):
        begin = solver.evaluations(skip + 1) - 1  # a run begins where a level is seen last
        timesteps, sigmas = scheduler.timesteps[begin:], scheduler.sigmas.double()[begin:-1]
        levels = [Level(1 / math.hypot(1, s), s / math.hypot(1, s)) for s in sigmas.tolist()]
        return Plan(solver, scheduler, timesteps, list(timesteps), [*levels, CLEAN], begin)
    distinct = scheduler.timesteps.unique_consecutive()
    left = solver.visits(range(skip, steps))
    timesteps = distinct[left]
    powers = scheduler.alphas_cumprod.double()[timesteps].tolist()
    levels = [Level(math.sqrt(p), math.sqrt(1 - p)) for p in powers]
    calls = timesteps.tolist()
    if solver.respaced:
        calls = [steps - 1 - k for k in left]
        scheduler.alphas_cumprod = scheduler.alphas_cumprod[distinct.flip(0)]
        scheduler.register_to_config(num_train_timesteps=steps)
    return Plan(solver, scheduler, timesteps, calls, [*levels, CLEAN], skip)


class Facts:
    """What a scheduler's configuration says about the training of the network.

    Attributes:
        given: the options that were given; another class has its own defaults for the others.
        kind: the prediction type of the network.
        betas: variances of the forward process ``[count]``.
        zero: the last timestep is pure noise (Lin et al. 2023, section 3.1).

    Raises:
        ModelError: it is of a kind that is not supported.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        from diffusers import DDPMScheduler

        implied = set(config.get("_use_default_values", ()))
        self.given = {k: v for k, v in config.items() if k not in implied and k[:1] != "_"}
        self.kind = config.get("prediction_type", "epsilon")
        if self.kind not in PREDICTIONS:
            known = ", ".join(PREDICTIONS)
            raise ModelError(f"prediction_type must be one of {known} but is {self.kind!r}")
        if config.get("use_flow_sigmas") or config.get("timestep_type") == "continuous":
            raise ModelError("flow matching and continuous noise schedules are not supported")
        names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
        schedule = {k: config[k] for k in names if k in config}
        try:
            self.betas = DDPMScheduler(**schedule).betas
        except (NotImplementedError, TypeError, ValueError) as error:
            raise ModelError(f"the noise schedule is not supported: {line(error)}") from error
        self.count = len(self.betas)
        self.zero = bool(config.get("rescale_betas_zero_snr"))
        if self.zero and self.kind == "epsilon":
            raise ModelError("a network that predicts noise cannot begin without any signal")


def _scheduler(solver: Solver, facts: Facts, steps: int, karras: bool) -> SchedulerMixin:
    """Return a scheduler of the sampler's class, set to `steps` sound timesteps."""
    name = solver.name
    if facts.zero and not _accepts(solver, "rescale_betas_zero_snr"):
        able = ", ".join(n for n, s in SAMPLERS.items() if _accepts(s, "rescale_betas_zero_snr"))
        raise InputError(
            f"sampler {name} cannot run this model, whose noise schedule ends without any signal "
            f"(it needs one of: {able})"
        )
    betas = facts.betas if facts.zero or not solver.capped else _capped(facts.betas)
    options = _options(solver, facts, karras) | {
        "num_train_timesteps": len(betas),
        "trained_betas": betas.tolist(),
    }
    options = {k: v for k, v in options.items() if _accepts(solver, k)}
    spacing = options.pop("timestep_spacing", None)
    spacings = [{} if spacing is None else {"timestep_spacing": spacing}]
    for override in (*spacings, *({"timestep_spacing": s} for s in solver.spacings)):
        try:
            with quiet():
                scheduler = scheduler_class(solver)(**{**options, **override})
                if facts.zero:
                    scheduler.alphas_cumprod = scheduler.alphas_cumprod.clamp(min=TINY)
                scheduler.set_timesteps(steps)
        except (NotImplementedError, TypeError, ValueError) as error:
            raise ModelError(f"sampler {name} cannot run this model: {line(error)}") from error
        if _sound(scheduler, steps, solver.evaluations(steps)):
            return scheduler
    raise InputError(
        f"sampler {name} cannot make {steps} steps of {len(betas)} timesteps; ask for fewer"
    )


def _capped(betas: Tensor) -> Tensor:
    """Return `betas` without the last timesteps of a cosine schedule.

    There the noise grows from hundreds to tens of thousands times the signal, which solvers that
    reckon in that ratio would spend most of their steps on (and Heun's method blows up on).
    """
    signal = (1 - betas.double()).cumprod(0)
    return betas[(1 - signal) / signal <= MAX_NOISE**2]


def _options(solver: Solver, facts: Facts, karras: bool) -> dict[str, Any]:
    """Return the options of the sampler's scheduler; classes do not accept all of them."""
    large = str(facts.given.get("variance_type")).startswith("fixed_large")
    variance = "fixed_large" if large else "fixed_small"
    return {
        "set_alpha_to_one": True,  # unless the model's own configuration has it otherwise
        **facts.given,
        "prediction_type": (
            facts.kind if facts.kind in solver.predictions else solver.predictions[0]
        ),
        "clip_sample": False,  # these two are the caller's
        "thresholding": False,
        "use_karras_sigmas": karras,
        "use_exponential_sigmas": False,
        "use_beta_sigmas": False,
        "use_lu_lambdas": False,
        "interpolation_type": "linear",
        # networks predict no variance here, and DDPM misreads its own name for a logarithm
        "variance_type": variance if solver.variance else None,
        **solver.options,
    }


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Silence NumPy, which finds that diffusers hands over tensors in an outdated way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def scheduler_class(solver: Solver) -> type[SchedulerMixin]:
    """Return the class that runs a sampler."""
    return getattr(importlib.import_module(solver.module), solver.scheduler)


def _accepts(solver: Solver, option: str) -> bool:
    return option in inspect.signature(scheduler_class(solver).__init__).parameters


def _sound(scheduler: SchedulerMixin, steps: int, count: int) -> bool:
    """Return whether the timesteps are `count`, in range, ever less noisy, and begin in noise."""
    times, last = scheduler.timesteps, scheduler.config.num_train_timesteps - 1
    noise = scheduler.sigmas[:-1] if hasattr(scheduler, "sigmas") else times
    noise = noise.unique_consecutive()  # some are visited twice
    return (
        len(times) == count
        and len(noise) == steps
        and bool((noise.diff() < 0).all())
        and float(times.min()) >= 0
        and COVERAGE * last <= float(times.max()) <= last
    )
