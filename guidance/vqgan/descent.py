"""How the latents of a painting follow the gradient."""

from __future__ import annotations

from dataclasses import dataclass

from guidance.conventions import check_range
from guidance.errors import InputError, unknown

OPTIMIZERS = {  # classes of `torch.optim`
    "adam": "Adam",
    "adamw": "AdamW",
    "adagrad": "Adagrad",
    "adamax": "Adamax",
    "nadam": "NAdam",
    "radam": "RAdam",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
}
TAIL = 1 / 3  # share of a run over which the learning rate falls


@dataclass(frozen=True)
class Descent:
    """How the latents of a painting follow the gradient.

    Attributes:
        lr: learning rate, in units of the latents.
        lr_end: the last step's learning rate as a fraction of `lr`; it falls linearly over the
            last third of a run.
        levels: resolutions at which the latents move, each half of the one before: coarse ones
            move whole regions together, as the spectra of Mordvintsev, Pezzotti, Schubert and Olah
            2018, "Differentiable Image Parameterizations", do for pixels. 1 is VQGAN-CLIP.
        optimizer: one of `OPTIMIZERS`, in any case.
    """

    lr: float = 0.1
    lr_end: float = 1.0
    levels: int = 1
    optimizer: str = "adam"

    def check(self) -> None:
        """Raise `InputError` for a value that is not allowed."""
        check_range("lr", self.lr, 0, 1000)
        check_range("lr_end", self.lr_end, 0, 1)
        check_range("levels", self.levels, 1, 12)
        check_optimizer(self.optimizer)

    def rate(self, index: int, steps: int) -> float:
        """Return the learning rate of step `index` of `steps`."""
        left = min(1.0, (steps - 1 - index) / max(1.0, steps * TAIL))
        end = self.lr * self.lr_end
        return end + (self.lr - end) * left


def check_optimizer(name: str) -> str:
    """Return `name` in lower case; raise `InputError` unless it is one of `OPTIMIZERS`."""
    if name.lower() not in OPTIMIZERS:
        raise InputError(unknown("optimizer", name, OPTIMIZERS))
    return name.lower()
