"""Prompts for finished images: those of the grammar that need no steps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from guidance.converting import shown
from guidance.errors import InputError
from guidance.prompts.grammar import Prompt, parse_prompts


def prompts_for_ranking(
    prompts: str | Sequence[str] | Sequence[Prompt], negative: Sequence[str] = ()
) -> tuple[Prompt, ...]:
    """Parse prompts and refuse what has no meaning for finished images; load nothing.

    A stop value is left out of account: it says when an optimisation should no longer push.

    Raises:
        PromptError: a prompt does not follow the grammar.
        InputError: there is none, or one is a schedule, noise or without weight.
    """
    if isinstance(negative, str):
        negative = (negative,)
    for name, value in (("prompts", prompts), ("negative", negative)):
        if isinstance(value, os.PathLike | Mapping | bytes) or not isinstance(value, Iterable):
            raise InputError(f"{name} must be a text, or a list of texts but is {shown(value)}")
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    parsed = tuple(p for p in texts if isinstance(p, Prompt))
    if len(parsed) < len(texts) or negative:
        strings = [p for p in texts if not isinstance(p, Prompt)]
        if not all(isinstance(p, str) for p in strings):
            raise InputError("prompts must be a text, or a list of texts or of parsed prompts")
        parsed += parse_prompts(strings, negative=tuple(negative), every=1)  # stories: see below
    if not parsed:
        raise InputError("prompts must not be empty")
    for prompt in parsed:
        if prompt.start != 0 or prompt.end is not None:
            raise InputError(f"ranking has no steps, so a schedule cannot be used: {prompt.text!r}")
        if prompt.kind not in ("text", "image"):
            raise InputError(f"a prompt must be a text or an image but is {prompt.kind}")
    if not any(p.weight for p in parsed):
        raise InputError("at least one prompt must have a weight other than 0")
    return parsed


def prompts_at(prompts: Iterable[Prompt], step: int) -> list[Prompt]:
    """Return the texts and images that have a weight at a step of a run, without their schedules.

    They are what pictures of that step can be ranked by.
    """
    return [
        replace(p, weight=weight, start=0, end=None, rise=0, fall=0)
        for p in prompts
        if (weight := p.weight_at(step)) and p.kind in ("text", "image")
    ]
