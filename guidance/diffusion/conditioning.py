"""Prompts at a step → what the network is told: the condition and its opposite."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from guidance.images import as_tensor
from guidance.models.conditions import Condition
from guidance.models.denoiser import Denoiser
from guidance.prompts.grammar import Prompt


class Conditioning:
    """The conditions of a run.

    Positive text prompts that apply at a step are mixed by their weights; negative ones take the
    place of the empty text in classifier-free guidance. Image prompts count for networks that
    images condition (`Denoiser.sees`), and for the others steer through CLIP alone. Every text
    is read once, when this is made.

    Args:
        denoiser: reads the texts; one that takes no condition makes all conditions None.
        prompts: with weights and the steps at which they apply.
    """

    def __init__(self, denoiser: Denoiser, prompts: Sequence[Prompt]):
        kinds = ("text", "image") if denoiser.sees else ("text",)
        self._prompts = [p for p in prompts if denoiser.conditional and p.kind in kinds]
        self._empty = denoiser.empty()
        texts = list(dict.fromkeys(p.text for p in self._prompts if p.kind == "text"))
        self._read = dict(zip(texts, denoiser.condition(texts), strict=True)) if texts else {}
        self._seen = {p.text: _look(denoiser, p.text) for p in self._prompts if p.kind == "image"}

    def at(self, step: int) -> tuple[Condition | None, Condition | None]:
        """Return the condition at `step`, and what it is contrasted with, of one row each."""
        weights = [(p, p.weight_at(step)) for p in self._prompts]
        return (
            self._mix([(p, w) for p, w in weights if w > 0]),
            self._mix([(p, -w) for p, w in weights if w < 0]),
        )

    def _mix(self, weighted: list[tuple[Prompt, float]]) -> Condition | None:
        if not weighted:
            return self._empty
        known = {"text": self._read, "image": self._seen}
        return Condition.mix([known[p.kind][p.text] for p, _ in weighted], [w for _, w in weighted])


@torch.no_grad()
def _look(denoiser: Denoiser, path: str) -> Condition:
    return denoiser.image_condition(as_tensor(path).to(denoiser.device))[0]
