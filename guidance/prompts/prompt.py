r"""One prompt, and prompts → the text that stands for them in `guidance.prompts.grammar`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import groupby, pairwise
from typing import Literal

from guidance.conventions import MAX_SEED
from guidance.errors import PromptError
from guidance.images import is_image_name
from guidance.prompts import schedule
from guidance.prompts.characters import clean, emptiness
from guidance.prompts.weights import check_stop, check_weight, double, escape, is_ratio

Kind = Literal["text", "image", "noise"]


@dataclass(frozen=True, repr=False)
class Prompt:
    """One prompt: what to move towards or away from, how strongly, and at which steps.

    Attributes:
        text: the text, the path of the image, or the seed of the noise as digits.
        weight: -1000 to 1000 but not 0; negative pushes away.
        stop: floor on sign(weight) · distance, where the distance is the squared great-circle
            distance of the embeddings (0 to 4.93): no gradient once below it. It has the sign of
            the weight: ``a:1:0.4`` comes no closer than 0.4, ``a:-1:-0.9`` goes no further than
            0.9. Minus infinity never stops.
        kind: ``"text"``, ``"image"`` or ``"noise"``.
        start: first step at which it applies.
        end: first step at which it no longer applies; None applies to the end.
        rise, fall: steps from the start, and up to the end, in which the weight grows and shrinks
            linearly (`guidance.prompts.story`); the grammar has no form for them.
    """

    text: str
    weight: float = 1.0
    stop: float = -math.inf
    kind: Kind = "text"
    start: int = 0
    end: int | None = None
    rise: int = 0
    fall: int = 0

    def __post_init__(self):
        if not isinstance(self.text, str):
            raise PromptError(f"a prompt must be text but is {type(self.text).__name__}")
        text = clean(self.text).strip()
        if empty := emptiness(text):
            raise PromptError(empty)
        if self.kind == "noise":
            if not re.fullmatch("[0-9]{1,30}", text) or int(text) > MAX_SEED:
                raise PromptError(f"a noise seed must be from 0 to {MAX_SEED} but is {text[:40]!r}")
            text = str(int(text))
        elif self.kind not in ("text", "image"):
            raise PromptError(f"kind must be text, image or noise but is {self.kind!r}")
        elif self.kind == "text" and is_image_name(text):
            raise PromptError(f"a text must not be the name of an image file but is {text[:60]!r}")
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "weight", check_weight(self.weight))
        object.__setattr__(self, "stop", check_stop(self.stop, self.weight))
        schedule.check_span(self.start, self.end)
        schedule.check_fades(self.rise, self.fall, self.end)

    def __repr__(self) -> str:
        shown = (f for f in fields(self) if getattr(self, f.name) != f.default)
        return f"Prompt({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"

    def __str__(self) -> str:
        return format_prompts((self,))

    def active(self, step: int) -> bool:
        """Return whether the prompt applies at `step`."""
        return self.start <= step and (self.end is None or step < self.end)

    def weight_at(self, step: int) -> float:
        """Return the weight that applies at `step`, 0 where none does.

        The weights of two prompts of weight 1 that fade into each other sum to 1 at every step.
        """
        if not self.active(step):
            return 0.0
        rising = (step - self.start + 0.5) / self.rise if self.rise else 1.0
        falling = 1.0
        if self.fall and self.end is not None:
            falling = (self.end - step - 0.5) / self.fall
        return self.weight * min(1.0, rising, falling)

    @property
    def plain(self) -> bool:
        """Whether this is a text to come as close to as can be: positive, without a stop."""
        return self.kind == "text" and self.weight > 0 and self.stop == -math.inf


def format_prompts(prompts: Sequence[Prompt]) -> str:
    r"""Return one string that `parse_prompts` turns into the same prompts.

    Example:
        >>> print(format_prompts([Prompt("ratio 3:2"), Prompt("a|b: c", -0.5), Prompt("x", end=9)]))
        ratio 3:2 | a\|b: c:-0.5 | 0-9: x
    """
    groups = [(span, list(g)) for span, g in groupby(prompts, key=lambda p: (p.start, p.end))]
    head = groups.pop(0)[1] if groups and groups[0][0] == (0, None) else []
    spans = [span for span, _ in groups]
    plain = bool(spans) and spans[-1][1] is None and all(a[1] == b[0] for a, b in pairwise(spans))
    plain = plain and (bool(head) or spans[0][0] == 0)
    plain = plain and not any(p.text.startswith("(") for _, group in groups for p in group)
    parts = [_format(prompt) for prompt in head]
    for (start, end), group in groups:
        step = f"{start}: " if plain else f"{start}-{'' if end is None else end}: "
        first, *rest = (_format(prompt) for prompt in group)
        parts += [step + first, *rest]
    return " | ".join(parts)


def _format(prompt: Prompt) -> str:
    """Return one prompt without its steps."""
    numbers = [prompt.weight, prompt.stop] if prompt.stop > -math.inf else [prompt.weight]
    tail = "" if numbers == [1.0] else "".join(f":{n!r}".removesuffix(".0") for n in numbers)
    if prompt.kind == "noise":
        return f"[noise {prompt.text}]{tail}"
    if prompt.kind == "image":
        return f"[{double(escape(prompt.text, colons=False))}]{tail}"
    body = escape(prompt.text)
    if tail and is_ratio(body, tail.split(":")[1]):
        return f"{body} {tail}"
    return double(body) + tail if tail else body
