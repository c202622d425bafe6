"""Several prompts → what is followed of what a model says of each.

Classifier-free guidance in logits: Crowson's "super conditioning", known from DALL·E mini; after Ho
and Salimans 2022, arXiv:2207.12598, eq. 6, since logits are logarithms of likelihoods.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.prompts.grammar import Prompt


@dataclass(frozen=True)
class Told:
    """The prompts of a run.

    Attributes:
        wanted: texts to follow, with positive weights that count as shares.
        unwanted: texts that take the place of the empty one, likewise.
        cfg: scale of classifier-free guidance: 1 follows the texts as the model does, more
            exaggerates them, 0 leaves them out.
    """

    wanted: tuple[tuple[str, float], ...]
    unwanted: tuple[tuple[str, float], ...]
    cfg: float

    @functools.cached_property
    def texts(self) -> tuple[str, ...]:
        """The texts that the model has to be asked about, each once."""
        return tuple(dict.fromkeys(text for text, _ in self._shares))

    @functools.cached_property
    def _shares(self) -> list[tuple[str, float]]:
        """Each text with the factor of its logits; the factors have sum 1."""
        parts = [(self.wanted, self.cfg), (self.unwanted, 1 - self.cfg)]
        return [
            (text, factor * weight / sum(w for _, w in side))
            for side, factor in parts
            if factor
            for text, weight in side
        ]

    def mix(self, logits: Tensor) -> Tensor:
        """Return the logits that are followed, ``[B, codes]``.

        Args:
            logits: of the B pictures by each of the T `texts`, ``[T · B, codes]``, those of the
                first text before those of the second.
        """
        each = dict(zip(self.texts, logits.chunk(len(self.texts)), strict=True))
        terms = [each[text] * share if share != 1 else each[text] for text, share in self._shares]
        return torch.stack(terms).sum(0)


def tell(prompts: Sequence[Prompt], cfg: float) -> Told:
    """Return what the prompts of a run tell a model; those that are no texts tell it nothing."""
    texts = [(p.text, p.weight) for p in prompts if p.kind == "text"]
    wanted = tuple((text, weight) for text, weight in texts if weight > 0)
    unwanted = tuple((text, -weight) for text, weight in texts if weight < 0)
    nothing = (("", 1.0),)
    return Told(wanted or nothing, unwanted or nothing, cfg)
