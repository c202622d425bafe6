"""Rows to learn from → a classifier: the linear probe, CoOp and CoCoOp behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from guidance.clip.model import ClipModel
from guidance.conventions import derive_seed, make_generator
from guidance.errors import InputError
from guidance.probe.data import Bank
from guidance.probe.logistic import Linear, Problem, choose
from guidance.probe.options import ProbeOptions
from guidance.probe.prompts import Prompts
from guidance.probe.tuning import logits, tune


@dataclass(frozen=True)
class Learned:
    """A classifier.

    Attributes:
        strength: λ of the linear probe, else None.
        model: what was learned, a `Linear` or `Prompts`.
        source: which field of `Bank` it reads.
    """

    model: Linear | Prompts
    source: str
    strength: float | None = None

    def logits(self, vectors: Tensor) -> Tensor:
        """Return the logits of features or embeddings, ``[N, F]`` → ``[N, C]``."""
        if isinstance(self.model, Linear):
            return self.model(vectors)
        return logits(self.model, vectors)

    def accuracy(self, bank: Bank, rows: Tensor) -> float:
        """Return the share of `rows` that are classified right, in [0, 1]."""
        found = self.logits(getattr(bank, self.source)[rows]).argmax(-1).cpu()
        return float((found == bank.labels[rows]).float().mean())


Learn = Callable[[Bank, Tensor, Tensor, int], Learned]


def learner(method: str, clip: ClipModel, options: ProbeOptions) -> Learn:
    """Return the function that learns: bank, rows to learn from, rows to choose by, seed."""
    if method == "linear":
        return lambda bank, train, val, seed: learn_linear(bank, train, val, options.features)

    def learn(bank: Bank, train: Tensor, val: Tensor, seed: int) -> Learned:
        prompts = make_prompts(clip, bank.names, options, method == "cocoop", seed)
        tune(
            prompts, bank.embeddings[train], bank.labels[train].to(clip.device),
            steps=options.steps, rate=options.rate, batch=options.batch,
            generator=make_generator(derive_seed(seed, "order")),
        )  # fmt: skip
        return Learned(prompts, "embeddings")

    return learn


def make_prompts(
    clip: ClipModel, names: Sequence[str], options: ProbeOptions, conditional: bool, seed: int
) -> Prompts:
    """Return the prompts before they are tuned."""
    return Prompts(
        clip, names,
        context=options.context, conditional=conditional, each=options.per_class,
        generator=make_generator(derive_seed(seed, "context")),
    )  # fmt: skip


def learn_linear(bank: Bank, train: Tensor, val: Tensor, space: str = "tower") -> Learned:
    """Fit a linear probe to the rows `train`, its regularisation chosen on the rows `val`."""
    source = "features" if space == "tower" else "embeddings"
    x = getattr(bank, source).cpu()
    problem = Problem(x[train], bank.labels[train], len(bank.names))
    strength = choose(problem, x[val], bank.labels[val])
    return Learned(problem.fit(strength), source, strength)


def refit(bank: Bank, learned: Learned, rows: Tensor) -> Learned:
    """Fit a linear probe again with the regularisation it has, to other rows.

    The CLIP paper joins the validation split to the training split when λ is found (A.3).

    Raises:
        InputError: what was learned is no linear probe.
    """
    if learned.strength is None:
        raise InputError("only a linear probe can be fitted again")
    x = getattr(bank, learned.source).cpu()
    problem = Problem(x[rows], bank.labels[rows], len(bank.names))
    return Learned(problem.fit(learned.strength), learned.source, learned.strength)


def zero_shot(bank: Bank, classes: Tensor, rows: Tensor) -> float:
    """Return the accuracy of the nearest class embedding of ``[C, D]``, in [0, 1]."""
    found = (bank.embeddings[rows] @ F.normalize(classes, dim=-1).T).argmax(-1).cpu()
    return float((found == bank.labels[rows]).float().mean())
