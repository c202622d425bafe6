"""Runs of tiny diffusion models in memory, for the tests of `guidance.diffusion`."""

from __future__ import annotations

import torch

from guidance.conventions import derive_seed, make_generator
from guidance.diffusion import DiffusionOptions
from guidance.diffusion.build import start
from guidance.diffusion.generator import Denoising
from guidance.diffusion.sampling import Sampler
from guidance.models.denoiser import Denoiser
from guidance.objective.prompted import Objective
from guidance.objective.regularisers import Likeness
from guidance.step.loop import Step, fast_matmul, run

TARGET = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(9))


def make(model: Denoiser, **values: object) -> Denoising:
    """Return what a run with `values` starts with: unless they say so, it is not guided."""
    values = {"prompt": "a fox", "number": 2, "steps": 4, "clip_scale": "0"} | values
    return start(DiffusionOptions(**values), model)


def finish(generator: Denoising, objective: Objective | None = None, first: int = 0) -> list[Step]:
    """Return the steps of a run from step `first` on."""
    objective = objective or Likeness(TARGET)
    return list(run(generator, objective, len(generator.sampler), start=first))


def pictures(model: Denoiser, **values: object) -> torch.Tensor:
    """Return the finished pictures of a run."""
    return finish(make(model, **values))[-1].image


def noise(model, seeds=(0, 1), what=("start",)) -> torch.Tensor:
    shape = (model.channels, 32 // model.factor, 32 // model.factor)
    return torch.stack(
        [torch.randn(shape, generator=make_generator(derive_seed(s, *what))) for s in seeds]
    )


@torch.no_grad()
def plain(model, condition, steps: int = 4, name: str = "ddim", times: int = 1) -> torch.Tensor:
    """Sample without any guidance: nothing but the network, the sampler and the decoder."""
    sampler = Sampler(name, model.schedule, steps)
    x = sampler.first(noise(model))
    with fast_matmul():  # as a run does
        for i in range(len(sampler)):
            for turn in range(times):
                x = sampler.again(x, noise(model, what=("again", i, turn)), i) if turn else x
                z = sampler.to_input(x, i)
                x0, eps = sampler.split(z, model(z, sampler.timestep(i), condition), i)
                x = sampler.step(x, i, x0, eps)
        return model.decode(x, fast=False).clamp(0, 1)
