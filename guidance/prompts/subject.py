"""Prompts with a setting → an extra prompt for the subject alone.

A small CLIP sees a place or a light before it sees a thing: a bare orange sky scores higher for "a
fox at sunrise" than a fox under that sky. Naming the subject once more keeps it in the picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from guidance.images import is_image_path
from guidance.prompts.grammar import Prompt

# words that begin a setting, a manner or a list of details; "of" is not among them, because "a
# bowl of soup" is one thing
_BEGINNINGS = (
    "above", "across", "against", "along", "among", "amid", "around", "at", "behind", "below",
    "beneath", "beside", "between", "beyond", "by", "during", "from", "in", "inside", "near",
    "next to", "on", "outside", "over", "through", "under", "underneath", "with", "within",
)  # fmt: skip
_SETTING = re.compile(rf"\s+(?:{'|'.join(_BEGINNINGS)})\s|\s*[,;]\s", re.IGNORECASE)


def subject(text: str) -> str | None:
    """Return what stands before the first preposition or comma, or None without one.

    Example:
        >>> subject("a fox at sunrise"), subject("a bowl of soup, oil on canvas")
        ('a fox', 'a bowl of soup')
        >>> subject("a fox") is subject("in the forest") is None
        True
    """
    match = _SETTING.search(text)
    return text[: match.start()].strip() or None if match else None


def with_subjects(prompts: Sequence[Prompt], factor: float) -> tuple[Prompt, ...]:
    """Add to each positive text prompt that has a setting its subject, at `factor` × its weight.

    A prompt with a stop is left alone: its author has said how far to go. With a factor of 0 the
    prompts stay as they are.
    """
    extra = []
    for prompt in prompts if factor else ():
        found = subject(prompt.text) if prompt.plain else None
        if found and not is_image_path(found):
            weight = min(prompt.weight * factor, 1000.0)
            extra.append(replace(prompt, text=found, weight=weight))
    return (*prompts, *extra)
