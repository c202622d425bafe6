r"""Prompt strings → `Prompt`, in the grammar users of VQGAN-CLIP, pixray and pytti know.

A bar separates prompts. ``:weight`` and ``:weight:stop`` are read from the right, numbers only; a
negative weight pushes away. The stop is a floor on the distance to the prompt, with the sign of
the weight: no gradient once the image is past it.

    >>> parse_prompts("a fox at sunrise | forest:0.5")
    (Prompt(text='a fox at sunrise'), Prompt(text='forest', weight=0.5))
    >>> parse_prompts("text:-1:-.9")
    (Prompt(text='text', weight=-1.0, stop=-0.9),)
    >>> parse_prompts("a fox", negative=["fog:0.3"])
    (Prompt(text='a fox'), Prompt(text='fog', weight=-0.3))

A colon inside text stays text: where no number ends the prompt, and in a ratio or time, which is a
whole number directly after a digit and a colon. There, a space before the colon makes a weight.
A backslash makes text of ``: | ^ [ ]``; before other characters it is an ordinary one.

    >>> [p.text for p in parse_prompts(r"Star Wars: a city | ratio 3:2 | 12:30 | a\|b")]
    ['Star Wars: a city', 'ratio 3:2', '12:30', 'a|b']
    >>> parse_prompts(r"Route 66 :2 | part\: 2")
    (Prompt(text='Route 66', weight=2.0), Prompt(text='part: 2'))

``[photo.png]:0.5`` or a bare ``photo.png:0.5`` is an image, which must exist; a bare path with
spaces is one if it exists. ``[noise 123]:0.1`` is a random direction.

    >>> parse_prompts("[noise 123]:0.1") == parse_prompts(noise="123:0.1")
    True

A step is a whole number, colon and space. What follows applies from that step to the next one;
prompts before the first step always apply. ``50-80: `` (80 being the first step without) and
``50-: `` are intervals of their own, which may overlap. A dict, or its text, says the same.

    >>> for p in parse_prompts("oil painting | 0: a fox | 200: a wolf:2 | snow"):
    ...     print(p.text, p.weight, p.start, p.end)
    oil painting 1.0 0 None
    a fox 1.0 0 200
    a wolf 2.0 200 None
    snow 1.0 200 None
    >>> parse_prompts({0: "a fox", 200: ["a wolf:2"]}) == parse_prompts("0: a fox | 200: a wolf:2")
    True

``^`` or ``||`` starts the next scene, each `every` steps long; the last one stays.

    >>> parse_prompts("dawn ^ noon", every=100) == parse_prompts("0: dawn | 100: noon")
    True

Refused with the reason, because other tools read them differently: masks (``sky:1_[mask.png]``),
weights that are functions of ``t``, keyframes, URLs, and a number before the text (``2:fox``).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby, pairwise
from typing import Literal

from guidance import schedule
from guidance.characters import clean, emptiness, restore
from guidance.conventions import MAX_SEED
from guidance.errors import FileError, PromptError, counted
from guidance.images import check_image, exists, is_image_name, is_image_path, is_named_file
from guidance.schedule import Entry
from guidance.slug import slug as slug
from guidance.weights import check_stop, check_weight, double, escape, is_ratio, split_numbers

_URL = re.compile(r"[a-z][a-z0-9+.\-]+://", re.IGNORECASE)
_NOISE = re.compile(r"noise\s+([0-9]{1,30})")
PromptSource = str | os.PathLike | Mapping | Sequence


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
            linearly (`guidance.story`); the grammar has no form for them.
    """

    text: str
    weight: float = 1.0
    stop: float = -math.inf
    kind: Literal["text", "image", "noise"] = "text"
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
        falling = (self.end - step - 0.5) / self.fall if self.fall else 1.0
        return self.weight * min(1.0, rising, falling)

    @property
    def plain(self) -> bool:
        """Whether this is a text to come as close to as can be: positive, without a stop."""
        return self.kind == "text" and self.weight > 0 and self.stop == -math.inf


def parse_prompts(
    texts: PromptSource = (),
    *,
    negative: PromptSource = (),
    image: PromptSource = (),
    noise: PromptSource = (),
    every: int | None = None,
) -> tuple[Prompt, ...]:
    """Parse prompts given in the grammar of this module.

    Each argument is a string, a dict ``{step: prompt or list of prompts}``, or a sequence of
    these and of ready `Prompt` objects. Every string has a schedule of its own.

    Args:
        texts: prompts of any kind.
        negative: prompts to push away from; weights and stops are positive and change sign.
        image: images, with or without brackets: ``"photo.png:0.5"``, or a `Path`.
        noise: seeds of random directions: ``"123:0.1|234:0.2"``, or an int.
        every: steps per scene, for ``^`` and ``||``.

    Raises:
        PromptError: no prompt at all, or one does not follow the grammar, or a file is missing.
    """
    if every is not None and (
        isinstance(every, bool) or not isinstance(every, int) or not 1 <= every <= schedule.MAX_STEP
    ):
        raise PromptError(f"--change-every must be a whole number of at least 1 but is {every!r}")
    given = [texts] if isinstance(texts, str | Mapping) else texts
    alone = isinstance(given, Sequence) and len(given) == 1 and not (image or noise)
    found = [*_read(texts, "text", every, alone)]
    found += [_negate(prompt) for prompt in _read(negative, "text", every)]
    found += _read(image, "image", every)
    found += _read(noise, "noise", every)
    if not found:
        raise PromptError('a prompt is needed, for example "a fox at sunrise"')
    return tuple(found)


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


def check_steps(prompts: Sequence[Prompt], steps: int) -> None:
    r"""Raise `PromptError` if a prompt begins after a run of `steps`, or a step has no prompt.

    Example:
        >>> check_steps(parse_prompts("ink | 1984: a novel"), 300)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        guidance.errors.PromptError: ... starts at step 1984 but the run has 300 steps; if ...
    """
    for prompt in prompts:
        if prompt.start >= steps:
            raise PromptError(
                f"'{str(prompt)[:60]}' starts at step {prompt.start} but the run has "
                f"{counted(steps, 'step')}; if the number is text, write '{prompt.start}\\:'"
            )
    for step in sorted({0, *(p.end for p in prompts if p.end is not None and p.end < steps)}):
        if not any(prompt.active(step) for prompt in prompts):
            raise PromptError(
                f"no prompt applies at step {step}; start the schedule at 0, leave no gap, or add"
                " a prompt without a step"
            )


def _read(source: object, kind: str, every: int | None, alone: bool = False) -> Iterator[Prompt]:
    """Yield the prompts of one argument of `parse_prompts`; `alone` if there are no others."""
    if isinstance(source, Prompt):
        yield source
    elif isinstance(source, str):
        yield from (_parse(entry, kind) for entry in schedule.entries(source, every, alone))
    elif isinstance(source, Mapping):
        found = schedule.mapping_entries(source.items(), str(dict(source)), alone)
        yield from (_parse(entry, kind) for entry in found)
    elif isinstance(source, os.PathLike):
        yield _image(Entry(str(source), 1, str(source)), str(source), 1.0, -math.inf)
    elif isinstance(source, int) and not isinstance(source, bool) and kind == "noise":
        yield Prompt(str(source), kind="noise")
    elif isinstance(source, Sequence) and not isinstance(source, bytes | bytearray):
        for item in source:
            if isinstance(item, Sequence) and not isinstance(item, str):
                raise PromptError(f"a prompt must be text but is {type(item).__name__}")
            yield from _read(item, kind, every, alone)
    else:
        raise PromptError(f"a prompt must be text but is {type(source).__name__}")


def _parse(entry: Entry, kind: str) -> Prompt:
    """Parse one piece between bars."""
    piece = entry.piece
    if "_[" in piece:
        entry.fail(r"masks are not supported; in ordinary text write '_\['", piece.index("_["))
    if piece.startswith("["):
        body, numbers = _split_bracket(entry)
        noise = _NOISE.fullmatch(body)
        body, kind = (noise[1], "noise") if noise else (body, "image")
    else:
        body, numbers = split_numbers(entry, piece, ratios=kind == "text")
    weight, stop = (*numbers, *(1.0, -math.inf)[len(numbers) :])
    text = restore(body)
    url = _URL.match(body)
    if url and kind != "noise":
        entry.fail(f"{url[0][:20]} is not supported: download the image and give its path")
    try:
        if kind == "image" or (kind == "text" and (is_image_name(text) or is_named_file(text))):
            return _image(entry, text, weight, stop)
        return Prompt(text, weight, stop, kind, entry.start, entry.end)
    except PromptError as error:
        if "(column " in str(error):
            raise
        entry.fail(str(error))


def _split_bracket(entry: Entry) -> tuple[str, list[float]]:
    """Split ``[path]:weight:stop`` into the path, still protected, and its numbers."""
    close = entry.piece.find("]")
    if close < 0:
        entry.fail(
            r"the bracket of an image prompt is not closed before the next '|'; write '\[' and"
            r" '\|' where they are text"
        )
    rest, numbers = split_numbers(entry, "x" + entry.piece[close + 1 :].strip(), ratios=False)
    if rest.strip() != "x":
        entry.fail(
            r"after ']' only ':weight' or ':weight:stop' may follow; in ordinary text write '\[',"
            r" and '\]' for a bracket in a path",
            close + 1,
        )
    return entry.piece[1:close].strip(), numbers


def _image(entry: Entry, path: str, weight: float, stop: float) -> Prompt:
    """Return the prompt of an image file that exists."""
    if path.startswith("~"):
        path = os.path.expanduser(path)
    prompt = Prompt(path, weight, stop, "image", entry.start, entry.end)
    if not exists(path):
        what = "is a folder" if exists(path, folder=True) else "does not exist"
        shown = path if len(path) <= 80 else f"…{path[-79:]}"
        hint = r" (in ordinary text write '\[')" if entry.piece.startswith("[") else ""
        entry.fail(f"the image file {shown!r} {what}{hint}")
    if not is_image_path(path):  # any file that is named, which may be no image
        try:
            check_image(os.path.expanduser(path))
        except FileError as error:
            entry.fail(f"the prompt names a file, but {error}")
    return prompt


def _negate(prompt: Prompt) -> Prompt:
    """Turn a prompt of the negative argument into one that pushes away."""
    if prompt.weight < 0:
        raise PromptError(f"a negative prompt must not have a negative weight but is '{prompt}'")
    stop = prompt.stop if prompt.stop == -math.inf else -prompt.stop
    return replace(prompt, weight=-prompt.weight, stop=stop)


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
