"""Runs of tiny diffusion models in memory, for the tests of `guidance.diffusion`."""

from __future__ import annotations

import torch

from guidance.diffusion import DiffusionOptions
from guidance.diffusion.build import start
from guidance.diffusion.generator import Denoising
from guidance.models.denoiser import Denoiser
from guidance.objective.prompted import Objective
from guidance.objective.regularisers import Likeness
from guidance.step.loop import Step, run

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
