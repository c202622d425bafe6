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
from dataclasses import replace

from guidance.errors import FileError, PromptError, counted
from guidance.images import check_image, exists, is_image_name, is_image_path, is_named_file
from guidance.prompts import schedule
from guidance.prompts.characters import restore
from guidance.prompts.prompt import Kind
from guidance.prompts.prompt import Prompt as Prompt
from guidance.prompts.prompt import format_prompts as format_prompts
from guidance.prompts.schedule import Entry
from guidance.prompts.slug import slug as slug
from guidance.prompts.weights import split_numbers

_URL = re.compile(r"[a-z][a-z0-9+.\-]+://", re.IGNORECASE)
_NOISE = re.compile(r"noise\s+([0-9]{1,30})")
PromptSource = str | os.PathLike | Mapping | Sequence


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


def _read(source: object, kind: Kind, every: int | None, alone: bool = False) -> Iterator[Prompt]:
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


def _parse(entry: Entry, kind: Kind) -> Prompt:
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
        if kind == "text" and re.search(r"[/\\]", text) and exists(text, folder=True):
            entry.fail(f"{text[:60]!r} is a folder: name the images in it, each by itself")
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
