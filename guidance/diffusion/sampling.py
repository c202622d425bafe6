"""The samplers of diffusers behind one interface: network output → next sample.

A network sees z = alpha * x0 + sigma * eps with alpha^2 + sigma^2 = 1, x0 being the clean picture
and eps standard normal noise, and predicts eps, v = alpha * eps - sigma * x0, or x0. A scheduler
keeps a sample x, which is z itself or, for the Euler family, z * sqrt(1 + (sigma / alpha)^2).

    x ─▶ to_input ─▶ z ─▶ network ─▶ split ─▶ x0, eps ─▶ (guidance) ─▶ step ─▶ next x
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from guidance.conventions import check_count
from guidance.diffusion.noise_levels import Level, make_plan, quiet
from guidance.diffusion.samplers import check_sampler
from guidance.errors import InputError

# what the schedulers remember from one step to the next
_LISTS = ("model_outputs", "derivatives", "ets")
_TENSORS = ("last_sample", "sample", "cur_sample", "prev_derivative", "dt")
_COUNTS = ("lower_order_nums", "this_order", "counter")


class Sampler:
    """One sampler on one noise schedule: `len` steps from noise to a picture.

    Step i goes from noise level i to level i + 1; level ``len(sampler)`` is the clean picture.
    Tensors are ``[B, C, H, W]`` and may be on any device.

    Args:
        name: of a record in `guidance.diffusion.samplers`, or one of its aliases.
        config: of the diffusers scheduler that the network was trained with (betas, prediction
            type, ...). Clipping and thresholding in it are ignored: they are the caller's.
        steps: noise levels from pure noise to the picture; see `timestep_count`.
        eta: noise added by DDIM, from 0 (deterministic) to 1 (as much as DDPM).
        karras: space noise levels as Karras et al. 2022 (arXiv:2206.00364) do.
        device: of the timesteps for the network, and of a restored state.
        skip: how many of the noisiest levels are left out, below `steps`; the run then has
            ``timestep_count(name, steps - skip)`` steps and begins with `noised`.

    Raises:
        InputError: an argument is not allowed.
        ModelError: the configuration is of a kind that is not supported.
    """

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any],
        steps: int,
        *,
        eta: float = 0.0,
        karras: bool = False,
        device: torch.device | str = "cpu",
        skip: int = 0,
    ) -> None:
        self.name = check_sampler(name, eta=eta, karras=karras)
        self.eta, self.device = eta, torch.device(device)
        self._plan = make_plan(self.name, config, steps, karras=karras, skip=skip)
        self._scheduler, self._solver = self._plan.scheduler, self._plan.solver
        self._kind = config.get("prediction_type", "epsilon")
        self._timesteps = self._plan.timesteps.to(self.device)
        self._scale = float(self._scheduler.init_noise_sigma)
        # `to_input` does what this flag asks for
        self._scheduler.is_scale_input_called = True
        self._fresh = self._history()
        self._before: tuple[int, dict[str, Any]] | None = None

    def __len__(self) -> int:
        """Return the steps of the run, each of which evaluates the network once."""
        return len(self._timesteps)

    @property
    def order(self) -> int:
        """The order of the method, which is more than the predictions it remembers."""
        return self._solver.order

    @property
    def stochastic(self) -> bool:
        """Whether `step` draws random numbers, and so needs generators."""
        return self._solver.noise or self.eta > 0

    def timestep(self, i: int) -> Tensor:
        """Return the timestep of step `i` for the network: a scalar, perhaps with a fraction."""
        self._check("step", i, len(self) - 1)
        return self._timesteps[i]

    def level(self, i: int) -> Level:
        """Return alpha and sigma of the network's input at step `i`, or (1, 0) after the last."""
        self._check("level", i, len(self))
        return self._plan.levels[i]

    def to_input(self, x: Tensor, i: int) -> Tensor:
        """Return the network's input z of the sample `x` at level `i`."""
        alpha = self.level(i).alpha
        return x * alpha if self._solver.scaled else x

    def from_input(self, z: Tensor, i: int) -> Tensor:
        """Return the sample of the network's input `z` at level `i`."""
        alpha = self.level(i).alpha
        return z / alpha if self._solver.scaled else z

    def noised(self, x0: Tensor, noise: Tensor, i: int) -> Tensor:
        """Return the clean pictures `x0` as a sample at level `i`; after the last step, `x0`."""
        alpha, sigma = self.level(i)
        return x0 if sigma == 0 else self.from_input(alpha * x0 + sigma * noise, i)

    def first(self, noise: Tensor) -> Tensor:
        """Return the sample that a run from pure standard normal `noise` begins with."""
        return noise * self._scale

    def split(self, z: Tensor, output: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """Return the clean pictures and the noise that the network's `output` for `z` means.

        Both are differentiable in `z` and `output`.
        """
        alpha, sigma = self.level(i)
        if self._kind == "epsilon":
            return (z - sigma * output) / alpha, output
        if self._kind == "sample":
            return output, (z - alpha * output) / sigma
        return alpha * z - sigma * output, alpha * output + sigma * z

    def x0_of(self, z: Tensor, eps: Tensor, i: int) -> Tensor:
        """Return the clean pictures that go with the noise `eps` in `z`, e.g. a guided one."""
        alpha, sigma = self.level(i)
        return (z - sigma * eps) / alpha

    def eps_of(self, z: Tensor, x0: Tensor, i: int) -> Tensor:
        """Return the noise that goes with clean pictures in `z`, e.g. thresholded ones."""
        alpha, sigma = self.level(i)
        return (z - alpha * x0) / sigma

    @torch.no_grad()
    def step(
        self,
        x: Tensor,
        i: int,
        x0: Tensor,
        eps: Tensor,
        generators: Sequence[torch.Generator] | torch.Generator | None = None,
    ) -> Tensor:
        """Return the sample at level i + 1.

        Steps are taken in order: samplers remember earlier ones. Step 0 begins another run.

        Args:
            x: sample at level `i`.
            i: from 0 to ``len(self) - 1``.
            x0: clean pictures at this step, guided or not.
            eps: the noise that goes with them: z = alpha * x0 + sigma * eps. Depending on the
                sampler one or the other or both are used.
            generators: one a picture, or one for all; needed if `stochastic`.

        Raises:
            InputError: there is no such step, or generators are missing or not one a picture.
        """
        self._check("step", i, len(self) - 1)
        x, x0, eps = x.detach(), x0.detach(), eps.detach()
        if i == 0:
            self._restore(self._fresh)  # what there is, is of another run
        self._before = (i, self._history())
        if self._solver.noisy_end and i == len(self) - 1:
            return x0
        if hasattr(self._scheduler, "_step_index"):
            # set rather than counted, so that a run may begin late and a step be repeated
            self._scheduler._step_index = self._plan.begin + i
        output = self._output(x0, eps, i)
        options = self._options(len(x), generators)
        call = self._plan.calls[i]
        with quiet():
            return self._scheduler.step(output, call, x, return_dict=False, **options)[0]

    @torch.no_grad()
    def again(self, x_next: Tensor, noise: Tensor, i: int) -> Tensor:
        """Return a sample at level `i` to repeat step `i` from, its result noised once more.

        This is the resampling of RePaint (Lugmayr et al. 2022, arXiv:2201.09865, section 4.2)
        and the self-recurrence of universal guidance (Bansal et al. 2023, arXiv:2302.07121,
        section 3.3). What the sampler remembered of the step is forgotten.

        Args:
            x_next: sample at level i + 1.
            noise: standard normal, of the same shape.
            i: the step that was taken last.

        Raises:
            InputError: the last step was another one.
        """
        if self._before is None or self._before[0] != i:
            last = "none" if self._before is None else self._before[0]
            raise InputError(f"only the last step, {last}, can be repeated but i is {i}")
        ratio = self.level(i).alpha / self.level(i + 1).alpha
        added = math.sqrt(max(0.0, 1 - ratio**2))
        self._restore(self._before[1])
        return self.from_input(ratio * self.to_input(x_next, i + 1) + added * noise, i)

    def state(self) -> dict[str, Tensor]:
        """Return what the sampler remembers of earlier steps; `load_state` takes it.

        Counters are int64 scalars. The position of the run is not in it.
        """
        found: dict[str, Tensor] = {}
        for name, value in self._history().items():
            entries = {f"{name}.{k}": v for k, v in enumerate(value)} if name in _LISTS else {}
            entries[name] = len(value) if name in _LISTS else value
            for key, entry in entries.items():
                if entry is not None:
                    found[key] = entry if isinstance(entry, Tensor) else torch.tensor(entry)
        return found

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state` of the same sampler with the same options.

        Raises:
            InputError: the state is not of this sampler.
        """
        history = dict(self._fresh)
        needed = {k for k, v in history.items() if v is not None}
        lengths = {k: int(state.get(k, 0)) for k in needed & set(_LISTS)}
        if any(length > len(state) for length in lengths.values()):
            raise InputError(f"the state of sampler {self.name} lacks some of its entries")
        entries = {f"{k}.{n}" for k, length in lengths.items() for n in range(length)}
        if not needed <= set(state) <= set(history) | entries:
            raise InputError(f"the state must be of sampler {self.name} but is of another one")
        for name in history:
            if name in _LISTS:
                places = range(int(state[name]))
                history[name] = [self._placed(state.get(f"{name}.{k}")) for k in places]
            elif name in _COUNTS:
                history[name] = int(state[name]) if name in state else None
            else:
                history[name] = self._placed(state.get(name))
        self._restore(history)
        self._before = None

    def _output(self, x0: Tensor, eps: Tensor, i: int) -> Tensor:
        """Return the prediction of the type that the scheduler takes."""
        alpha, sigma = self.level(i)
        kind = self._scheduler.config.prediction_type
        if kind == "v_prediction":
            return alpha * eps - sigma * x0
        return eps if kind == "epsilon" else x0

    def _options(
        self, count: int, generators: Sequence[torch.Generator] | torch.Generator | None
    ) -> dict[str, Any]:
        """Return further arguments of the scheduler's step."""
        if not self.stochastic:
            return {}
        if generators is None:
            raise InputError(f"sampler {self.name} needs random generators")
        if not isinstance(generators, torch.Generator):
            generators = list(generators)
            if len(generators) != count:
                raise InputError(
                    f"generators must be one a picture ({count}) but are {len(generators)}"
                )
        return {"generator": generators} | ({"eta": self.eta} if self.eta else {})

    def _history(self) -> dict[str, Any]:
        """Return what the scheduler remembers; its tensors are never written to."""
        kept = {k: getattr(self._scheduler, k, None) for k in (*_TENSORS, *_COUNTS)}
        for name in _LISTS:
            if hasattr(self._scheduler, name):
                kept[name] = list(getattr(self._scheduler, name))
        return kept

    def _restore(self, history: Mapping[str, Any]) -> None:
        """Make the scheduler remember `history`."""
        for name, value in history.items():
            setattr(self._scheduler, name, list(value) if name in _LISTS else value)

    def _placed(self, value: Tensor | None) -> Tensor | None:
        return None if value is None else value.to(self.device)

    def _check(self, what: str, i: int, last: int) -> None:
        check_count(what, i, 0, last)
