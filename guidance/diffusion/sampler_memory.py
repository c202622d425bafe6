"""What a sampler remembers of a run that is continued, checked before the run goes on with it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from guidance.diffusion.sampling import Sampler
from guidance.errors import InputError, line


def remember(sampler: Sampler, state: Mapping[str, Tensor], x: Tensor, done: int) -> None:
    """Let `sampler` go on from a `Sampler.state`, after going through the next steps without it.

    Args:
        x: sample ``[B, C, h, w]`` at level `done`.
        done: steps that have been made.

    Raises:
        InputError: the state is not of this sampler, of these pictures or of a step of this run.
    """
    for name, value in state.items():
        if value.ndim and (value.shape, value.dtype) != (x.shape, x.dtype):
            raise InputError(f"the sampler's {name} is not of the shape of the pictures")
    if not 0 <= done <= len(sampler):
        raise InputError(f"{done} of {len(sampler)} steps are done")
    sampler.load_state(state)
    generators = [torch.Generator(x.device) for _ in x] if sampler.stochastic else None
    last = min(done + sampler.order + 1, len(sampler))  # then it knows no more of what came before
    try:
        for i in range(done, last):
            sampler.step(
                torch.zeros_like(x), i, torch.zeros_like(x), torch.zeros_like(x), generators
            )
    except Exception as error:  # whatever a scheduler of diffusers makes of a wrong memory
        raise InputError(
            f"the memory of sampler {sampler.name} is damaged: {line(error)}"
        ) from error
    sampler.load_state(state)
