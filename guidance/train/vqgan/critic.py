"""What a critic is: a network that tells real pictures from made ones, and learns to."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor, nn

RISE = 0.1  # part of the run that a critic takes to be heard fully


class Critic(nn.Module):
    """What the training asks of a critic.

    Attributes:
        name: in the log and in a checkpoint.
    """

    name: str

    def fooled(self, made: Tensor, rng: Generator) -> Tensor:
        """Return a scalar that falls as pictures ``[N, 3, H, W]`` in [-1, 1] look more real.

        `rng`, on the CPU, decides how they are looked at.
        """
        raise NotImplementedError

    def loss(self, images: Tensor, made: Tensor, rng: Generator) -> Tensor:
        """Return the critic's own loss, a scalar, on real and made pictures as for `fooled`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Voice:
    """A critic and how much it has to say.

    Attributes:
        critic: it learns once it is heard.
        weight: length of its gradient, relative to that of the losses that need no critic.
        begin: part of the run at which it begins to be heard.
    """

    critic: Critic
    weight: float
    begin: float

    def heard(self, done: float) -> float:
        """Return its weight at fraction `done` of the run."""
        return self.weight * min(1.0, max(0.0, done - self.begin) / RISE)
