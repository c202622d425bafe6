r"""Prompt strings → `Prompt` objects: the grammar of VQGAN-CLIP, pixray, pytti and disco-diffusion.

Several prompts, weights, stops. A negative weight pushes away; a stop is a floor on the squared
great-circle distance, with the sign of the weight: past it there is no gradient any more.

>>> parse_prompts("a fox at sunrise")
(Prompt(text='a fox at sunrise'),)
>>> [(p.text, p.weight, p.stop) for p in parse_prompts("a fox:2 | fog:-0.5:-0.9 | tree : .5")]
[('a fox', 2.0, -inf), ('fog', -0.5, -0.9), ('tree', 0.5, -inf)]

Colons. Only numbers at the end are weight and stop; every other colon is text. An integer right
after "digit, colon" is a ratio or a time, thus text too; a space before the colon, a sign or a
decimal point makes it a weight.

>>> [(p.text, p.weight) for p in parse_prompts("Star Wars: a city | ratio 3:2 | ratio 3:2 :5")]
[('Star Wars: a city', 1.0), ('ratio 3:2', 1.0), ('ratio 3:2', 5.0)]

Schedules: ``STEP: text`` (with the space) applies until the next step named; prompts before the
first entry always apply. A dict, or its text, does the same. ``^`` and ``||`` separate the parts
of a story of `every` steps each.

>>> [(p.text, p.start, p.end) for p in parse_prompts("ink | 0: a fox | 200: a wolf:2 | snow")]
[('ink', 0, None), ('a fox', 0, 200), ('a wolf', 200, None), ('snow', 200, None)]
>>> parse_prompts("{0: ['a fox'], 200: ['a wolf:2', 'snow']}")[1].start
200
>>> [(p.text, p.start, p.end) for p in parse_prompts("a fox ^ a wolf", every=50)]
[('a fox', 0, 50), ('a wolf', 50, None)]

Images: a path that ends like an image, or any path in brackets, ``[photo.png]:0.5``; it must
exist. A backslash makes ``| : ^ [ \`` plain text.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from guidance.errors import PromptError
from guidance.images import is_image_path

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
SUFFIX = re.compile(rf"\s*:\s*({NUMBER}|[+-]?(?:nan|inf|infinity))$", re.IGNORECASE)
STEP = re.compile(r"(\d+)\s*:\s+(?=\S)")
KEYFRAME = re.compile(rf"\d+\s*:\s*\(\s*{NUMBER}\s*\)")
PREFIX = re.compile(rf"({NUMBER}):(?=[^\W\d])")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)
# escaped characters travel through the parser as private code points
ESCAPES = {char: chr(0xE000 + i) for i, char in enumerate("|:^[\\")}
MAX_STEP = 10_000_000


@dataclass(frozen=True, repr=False)
class Prompt:
    """One prompt.

    Attributes:
        text: the words; the path of an image prompt; the seed of a noise prompt.
        weight: strength; negative pushes away.
        stop: floor on the loss, the squared great-circle distance (negative for negative weights).
        kind: what `text` is.
        start: first step at which the prompt applies.
        end: first step at which it no longer applies, or None.
    """

    text: str
    weight: float = 1.0
    stop: float = -math.inf
    kind: Literal["text", "image", "noise"] = "text"
    start: int = 0
    end: int | None = None

    def active(self, step: int) -> bool:
        """Return whether the prompt applies at `step`."""
        return self.start <= step and (self.end is None or step < self.end)

    def __str__(self) -> str:
        """Return the prompt in the grammar, without its schedule."""
        text = re.sub(r"([|:^\[\\])", r"\\\1", self.text)
        text = f"[{text}]" if self.kind == "image" else text
        stop = "" if self.stop == -math.inf else f":{self.stop!r}"
        return f"{text}:{self.weight!r}{stop}"

    def __repr__(self) -> str:
        defaults = Prompt("")
        names = ("weight", "stop", "kind", "start", "end")
        given = {n: getattr(self, n) for n in names if getattr(self, n) != getattr(defaults, n)}
        return f"Prompt({', '.join(f'{k}={v!r}' for k, v in {'text': self.text, **given}.items())})"


def parse_prompts(
    texts: str | Sequence[str] | Mapping[int, str | Sequence[str]],
    *,
    negative: Sequence[str] = (),
    image: Sequence[str] = (),
    noise: Sequence[str] = (),
    every: int | None = None,
) -> tuple[Prompt, ...]:
    """Parse prompts in the grammar of this module.

    Args:
        texts: one string, several (all apply), or a dict of step → string or strings.
        negative: prompts to push away from; a weight of 0.3 becomes -0.3.
        image: paths of image prompts, each with an optional weight and stop.
        noise: seeds of random directions, ``"123:0.1|234:0.2"``.
        every: steps for each part of a story.

    Raises:
        PromptError: says what was given and what is allowed.
    """
    prompts: list[Prompt] = []
    if isinstance(texts, Mapping):
        prompts += _from_table(texts)
    else:
        for text in [texts] if isinstance(texts, str) else texts:
            prompts += _parse_text(text, every)
    prompts += [_negate(p) for text in negative for p in _split(_clean(text, "negative prompt"))]
    for text in image:
        prompts.append(_image(*_numbers(_clean(text, "image prompt"))))
    prompts += [_noise(part) for text in noise for part in text.split("|")]
    return tuple(prompts)


def slug(text: str, max_length: int = 48) -> str:
    """Return `text` as a file name: letters and digits of any script, joined by hyphens.

    >>> slug("A fox, at sunrise!"), slug("CON")
    ('a-fox-at-sunrise', 'prompt-con')
    """
    plain = unicodedata.normalize("NFKC", text[: 8 * max_length]).lower()
    name = re.sub(r"[\W_]+", "-", plain).strip("-")[:max_length].strip("-")
    if not name:  # emoji only
        name = "prompt-" + hashlib.blake2b(text.encode(errors="replace"), digest_size=3).hexdigest()
    return f"prompt-{name}" if RESERVED.match(name) else name


def _parse_text(text: str, every: int | None) -> list[Prompt]:
    text = _clean(text, "prompt")
    if text.startswith("{") and text.endswith("}"):
        return _from_table(_literal(text))
    scenes = re.split(r"\|\||\^", text)
    if len(scenes) > 1:
        if any(not scene.strip(" |") for scene in scenes):
            raise PromptError(f"a part of the prompt {_show(text)} is empty")
        if every is None:
            raise PromptError(
                f"{_show(text)} is a story of {len(scenes)} parts (^ or ||); "
                "say how many steps each part has with --change-every"
            )
        if every < 1:
            raise PromptError(f"change_every must be at least 1 step but is {every}")
        return _from_table({number * every: scene for number, scene in enumerate(scenes)})
    return _schedule(text)


def _schedule(text: str) -> list[Prompt]:
    """Parse ``a | 0: b | c | 200: d``."""
    always: list[str] = []
    entries: dict[int, list[str]] = {}
    for part in text.split("|"):
        part = part.strip()
        if KEYFRAME.match(part):
            raise PromptError(f"{_show(part)} is a list of keyframe numbers, not a prompt")
        match = STEP.match(part)
        if match:
            step = int(match[1])
            if entries and step <= max(entries):
                raise PromptError(f"the steps of {_show(text)} must increase, but {step} does not")
            entries[step] = [part[match.end() :]]
        else:
            (entries[max(entries)] if entries else always).append(part)
    if entries and not always and min(entries) > 0:
        raise PromptError(
            f"no prompt applies before step {min(entries)} of {_show(text)}; start with '0: ...'"
        )
    return [_one(part) for part in always] + _from_table(entries)


def _from_table(table: Mapping[int, str | Sequence[str]]) -> list[Prompt]:
    """Return the prompts of step → strings; each entry lasts until the next."""
    steps = []
    for key in table:
        number = str(key).strip()
        if not number.isascii() or not number.isdigit() or int(number) > MAX_STEP:
            raise PromptError(f"a step of a schedule must be a whole number but is {key!r}")
        steps.append(int(number))
    if steps != sorted(set(steps)):
        raise PromptError(f"the steps of a schedule must increase but are {steps}")
    prompts = []
    ends = [*steps, None][1:]
    for value, start, end in zip(table.values(), steps, ends, strict=False):
        for text in [value] if isinstance(value, str) else value:
            parts = _split(_clean(text, f"prompt at step {start}"))
            prompts += [replace(p, start=start, end=end) for p in parts]
    return prompts


def _literal(text: str) -> Mapping[int, str | Sequence[str]]:
    try:
        table = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        table = None
    fits = isinstance(table, dict) and all(
        isinstance(v, str) or (isinstance(v, list | tuple) and all(isinstance(t, str) for t in v))
        for v in table.values()
    )
    if not fits or not table:
        raise PromptError(f"{_show(text)} must look like {{0: ['a fox:2'], 100: ['a wolf']}}")
    return table


def _split(text: str) -> list[Prompt]:
    return [_one(part) for part in text.split("|")]


def _one(part: str) -> Prompt:
    """Parse one prompt with its weight and stop; no bars, no schedule."""
    part = part.strip()
    if not part:
        raise PromptError("a prompt between two bars must not be empty")
    if match := PREFIX.match(part):
        rest = part[match.end() :]
        raise PromptError(
            f"{_show(part)} starts with a number: write {_show(rest + ':' + match[1])} for a "
            f"weight or '{match[1]}: {_unescape(rest)}' for a step"
        )
    if re.search(r"_\[[^\]]*\]$", part) or re.search(rf":{NUMBER}_\S", part):
        raise PromptError(f"{_show(part)} limits a prompt to a region, which is not supported")
    text, weight, stop = _numbers(part)
    bracket = text.startswith("[")
    if bracket and not text.endswith("]"):
        raise PromptError(f"the bracket of {_show(part)} is not closed")
    if bracket or (is_image_path(text) and (" " not in text or Path(text).is_file())):
        return _image(text[1:-1] if bracket else text, weight, stop)
    return Prompt(_unescape(text), weight, stop)


def _numbers(part: str) -> tuple[str, float, float]:
    """Split text, weight and stop, reading numbers from the right."""
    chain: list[tuple[str, str, str]] = []  # text before, separator and number, from the right
    text = part.strip()
    while len(chain) < 3 and (match := SUFFIX.search(text[-400:])):
        cut = len(text) - len(match[0])
        chain.append((text[:cut], match[0], match[1]))
        text = text[:cut]
    for count in range(len(chain), 0, -1):
        before, separator, _ = chain[count - 1]
        ratio = before[-1:].isdigit() and re.fullmatch(r":\d+", separator)
        if ratio:
            continue
        numbers = [float(n) for _, _, n in reversed(chain[:count])]
        if count > 2:
            raise PromptError(f"{_show(part)} has more numbers than weight and stop")
        if not before.strip():
            raise PromptError(f"{_show(part)} has a weight but no text")
        if not all(map(math.isfinite, numbers)):
            raise PromptError(f"the weight and stop of {_show(part)} must be finite numbers")
        weight, stop = numbers[0], numbers[1] if count == 2 else -math.inf
        if stop > -math.inf and weight * stop < 0:
            raise PromptError(f"the stop of {_show(part)} must have the sign of its weight")
        return before.strip(), weight, stop
    return part.strip(), 1.0, -math.inf


def _image(path: str, weight: float, stop: float) -> Prompt:
    path = _unescape(path).strip()
    if re.match(r"https?:", path):
        raise PromptError(f"image prompts are files: download {path!r} first")
    if not Path(path).is_file():
        raise PromptError(f"the image prompt {path!r} does not exist")
    return Prompt(path, weight, stop, kind="image")


def _negate(prompt: Prompt) -> Prompt:
    if prompt.weight < 0:
        raise PromptError(f"the negative prompt {prompt.text!r} must not have a negative weight")
    stop = prompt.stop if prompt.stop == -math.inf else -prompt.stop
    return replace(prompt, weight=-prompt.weight, stop=stop)


def _noise(part: str) -> Prompt:
    match = re.fullmatch(rf"\s*(\d+)\s*(?::\s*({NUMBER}))?\s*", part)
    if not match:
        raise PromptError(f"a noise prompt must be SEED or SEED:WEIGHT but is {part!r}")
    return Prompt(match[1], float(match[2] or 1), kind="noise")


def _clean(text: str, what: str) -> str:
    """Hide escaped characters, replace control characters by spaces, refuse empty text."""
    if not isinstance(text, str):
        raise PromptError(f"the {what} must be text but is {type(text).__name__}")
    if "\0" in text:
        raise PromptError(f"the {what} must not contain a NUL character")
    text = re.sub(r"\\([|:^\[\\])", lambda m: ESCAPES[m[1]], text)
    text = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text).strip()
    if not text:
        raise PromptError(f"the {what} must not be empty")
    return text


def _unescape(text: str) -> str:
    for char, hidden in ESCAPES.items():
        text = text.replace(hidden, char)
    return text


def _show(text: str) -> str:
    text = _unescape(text)
    return repr(text if len(text) <= 60 else text[:57] + "...")
