"""The training loop around a loss: batches → gradients → steps, averaged, saved and logged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from guidance.conventions import resolve_device
from guidance.files.writing import make_folder
from guidance.train.loop import checkpoint, schedule
from guidance.train.loop.average import Average
from guidance.train.loop.chunks import Chunks
from guidance.train.loop.log import Log
from guidance.train.loop.options import Run

Options = TypeVar("Options", bound=Run)
Batch = TypeVar("Batch")


class Stateful(Protocol):
    """What can be saved and taken up again: a network, an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Go on from a state."""


class Trainer(Generic[Options, Batch]):
    """One run.

    A training gives `build` and `batches`, and either `loss` or, if one backward pass is not all,
    `gradients`; `schedule`, `export`, `parts`, `begin` and `saved` where it needs them.

    Attributes:
        options: of the run, checked.
        device: where it runs.
        chunks: threads that parts of a batch are worked on with.
        network: what is learned, averaged and exported.
        optimisers: each has its own parameters; a group may have a ``factor`` of the rate.
        clip_norm: longest gradient of `network`.
        result: what the last line of the log names.
        pictures: how many there are to learn from, where the options measure the run in them.
        average: of the network's weights.
        clock: steps and seconds.
    """

    network: nn.Module
    optimisers: list[torch.optim.Optimizer]
    clip_norm: float = 1.0
    pictures: int = 0
    result: Path

    def __init__(self, options: Options) -> None:
        options.check()
        self.options, self.device = options, resolve_device(options.device)
        self.result = options.state.parent
        self.read()
        make_folder(options.state.parent)
        self.chunks = Chunks(options.threads if self.device.type == "cpu" else 0)
        torch.manual_seed(options.seed)
        self.build()
        self.average = Average(self.network, options.ema)
        self.clock = options.length(self.pictures)
        if options.resume:
            failure = "resume: {} does not fit these options"
            checkpoint.restore(options.state, self.device, self.load, failure)
        self.log = Log(options)

    # what a training gives

    def read(self) -> None:
        """Open the data; what is missing is found here, before the run's folder is made."""

    def build(self) -> None:
        """Set `network`, `optimisers` and whatever `loss` needs; randomness is seeded."""
        raise NotImplementedError

    def batches(self, start: int) -> Iterator[Batch]:
        """Yield batches without end from step number `start` on.

        The batch of a step follows from seed and number alone, so that a resumed run sees what an
        uninterrupted one would.
        """
        raise NotImplementedError

    def loss(self, batch: Batch, done: float, /) -> Tensor:
        """Return the loss of a batch, a scalar, at fraction `done` of the run."""
        raise NotImplementedError

    def gradients(self, batch: Batch, done: float, /) -> dict[str, float]:
        """Add the gradients of a batch to the parameters; return what the log shows."""
        loss = self.loss(batch, done)
        loss.backward()
        return {"loss": float(loss.detach())}

    def schedule(self, done: float) -> float:
        """Return the factor of the learning rate."""
        return schedule.cosine(done)

    def parts(self) -> Mapping[str, Stateful]:
        """Return what a checkpoint keeps beside the optimisers and the average, by name."""
        return {"network": self.network}

    def export(self) -> None:
        """Write the averaged weights in the form that others read."""

    def begin(self) -> None:
        """Do what comes before the first step."""

    def saved(self) -> None:
        """Do what follows a checkpoint, say measure the average."""

    # what every training does

    @property
    def step(self) -> int:
        """Steps made."""
        return self.clock.step

    def mixed(self) -> torch.autocast:
        """Return the arithmetic of the run."""
        enabled = self.options.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def share(self, count: int) -> int:
        """Return how many of `count` rows one thread takes."""
        return -(-count // max(1, self.options.threads if self.chunks.pool else 1))

    def train_step(self, batch: Batch, done: float) -> dict[str, float]:
        """Make one step at fraction `done` of the run; return what the log shows."""
        values = self.gradients(batch, done)
        return values | self.update(done)

    def update(self, done: float) -> dict[str, float]:
        """Step the optimisers and the weight average; return gradient length and rate."""
        rate = self.options.rate * self.schedule(done)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.average.update(self.network, self.clock.step)
        self.clock.step += 1
        return {"gradient": float(norm), "rate": rate}

    def restart(self, optimisers: list[torch.optim.Optimizer]) -> None:
        """Count and average anew from the weights as they are, with other optimisers."""
        self.optimisers, self.clock.step = optimisers, 0
        self.average = Average(self.network, self.options.ema)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        kept = {name: part.state_dict() for name, part in self.parts().items()}
        return kept | {
            "optimisers": [o.state_dict() for o in self.optimisers],
            "averaged": self.average.state,
            "step": self.clock.step,
            "spent": self.clock.spent,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        states = state["optimisers"] if "optimisers" in state else [state["optimiser"]]  # of 0.1
        for optimiser, values in zip(self.optimisers, states, strict=True):
            optimiser.load_state_dict(values)
        self.average.state = state["averaged"]
        self.clock.step, self.clock.spent = state["step"], state["spent"]

    def save(self) -> None:
        """Write the checkpoint and the export, each file in one move."""
        checkpoint.save(self.options.state, self.state())
        self.export()

    def run(self) -> None:
        """Train to the end, with log lines and regular checkpoints."""
        self.begin()
        clock = self.clock
        last = clock.spent
        clock.start()
        for batch in self.batches(clock.step):
            clock.tick()
            done = clock.done()
            if done >= 1:
                break
            values = self.train_step(batch, done)
            self.log.step(clock.step, done, values)
            clock.tick()
            if clock.spent - last > 60 * self.options.save_every:
                last = clock.spent
                self.save()
                self.saved()
        self.save()
        self.saved()
        self.log.finish(clock.step, self.result)
