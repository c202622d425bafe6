"""Scenes of a story: texts → one prompt, their length, and cross-fades between them.

    >>> text = tell("dawn", ["noon", "night"])
    >>> text, scene_steps(text, 300)
    ('dawn ^ noon ^ night', 100)

What stays in every scene is said once, as the prefix and the suffix of pytti's scenes:

    >>> tell("at dawn ^ at night:2", prefix="the sea", suffix=", in oil")
    'the sea at dawn, in oil ^ the sea at night, in oil:2'

With a cross-fade the weight of one scene falls linearly while that of the next one rises, centred
on the step where they would change:

    >>> from guidance.prompts.grammar import parse_prompts
    >>> dawn, noon = cross_fade(parse_prompts("dawn ^ noon", every=100), 4, 200)
    >>> for step in (97, 98, 99, 100, 101, 102):
    ...     print(step, dawn.weight_at(step), noon.weight_at(step))
    97 1.0 0.0
    98 0.875 0.125
    99 0.625 0.375
    100 0.375 0.625
    101 0.125 0.875
    102 0.0 1.0
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from guidance.errors import PromptError, counted
from guidance.prompts.characters import clean, protect
from guidance.prompts.grammar import Prompt
from guidance.prompts.schedule import SCENE, Entry, is_schedule
from guidance.prompts.weights import split_numbers

_WEIGHT = re.compile(r"(\s*:[-+.0-9eE]+){1,2}\s*$")  # and a stop


def tell(prompt: str, story: Sequence[str] = (), *, prefix: str = "", suffix: str = "") -> str:
    """Return one prompt string of `prompt` and the scenes that follow it.

    Args:
        prompt: one scene or several.
        story: further scenes.
        prefix, suffix: put before and after each scene, the suffix before a weight at its end. They
            may hold prompts of their own (``"ink:0.5 | "``), and a space is added where words would
            grow together.

    Raises:
        PromptError: a scene is empty; or there is something to add, and a scene is a schedule, an
            image, or its weight is doubled.
    """
    for number, scene in enumerate(story, 1):
        if not scene.strip():
            raise PromptError(f"--story must be text but entry {number} is empty")
    text = " ^ ".join([prompt, *story])
    if not (prefix.strip() or suffix.strip()):
        return text
    for name, added in (("--scene-prefix", prefix), ("--scene-suffix", suffix)):
        if SCENE.search(protect(clean(added))):
            raise PromptError(f"{name} must not hold scenes ('^', '||') but is {added!r}")
    return " ^ ".join(_stage(scene, prefix, suffix) for scene in _scenes(text))


def _scenes(text: str) -> list[str]:
    """Split a prompt into its scenes, as typed."""
    ends = [match.span() for match in SCENE.finditer(protect(clean(text)))]
    starts = [0, *(end for _, end in ends)]
    return [text[a:b].strip() for a, b in zip(starts, [*(a for a, _ in ends), None], strict=True)]


def _stage(scene: str, prefix: str, suffix: str) -> str:
    """Put what stays in every scene around one."""
    first, _, _ = protect(clean(scene)).partition("|")
    if not first.strip():
        return scene  # which the grammar refuses
    if is_schedule(protect(clean(scene))):
        raise PromptError(
            "--scene-prefix and --scene-suffix go with scenes ('at dawn ^ at noon', --story) and"
            " not with steps ('0: '): write the words into each step"
        )
    if first.lstrip().startswith("["):
        raise PromptError(
            "--scene-prefix and --scene-suffix go with texts but a scene begins with"
            f" '{first.strip()[:40]}': write the words into the other scenes"
        )
    scene = _join(prefix, scene)
    if suffix.lstrip().startswith("|"):
        return f"{scene} {suffix.strip()}"
    start = protect(clean(scene)).rfind("|") + 1
    piece = protect(clean(scene))[start:]
    words, numbers = split_numbers(Entry(piece, start + 1, scene), piece, ratios=True)
    ending = "x" + protect(clean(suffix)).partition("|")[0]
    if numbers and split_numbers(Entry(ending, 1, suffix), ending, ratios=True)[1]:
        raise PromptError(
            f"a scene and --scene-suffix both end in a weight: '{piece.strip()[:40]}' and"
            f" {suffix!r}"
        )
    cut = start + len(words)
    return _join(scene[:cut].rstrip() if numbers else scene[:cut], suffix) + scene[cut:]


def _join(left: str, right: str) -> str:
    """Put two texts together, with a space between words."""
    return left + (" " if left[-1:].isalnum() and right[:1].isalnum() else "") + right


def said_once(texts: Iterable[str], prefix: str = "", suffix: str = "") -> list[str]:
    """Return the texts of a story with what `tell` puts around each scene in the first one alone.

    Example:
        >>> said_once(["the sea at dawn", "the sea at noon"], "the sea")
        ['the sea at dawn', 'at noon']
    """
    begin = prefix.rpartition("|")[2].strip()
    end = _WEIGHT.sub("", suffix.partition("|")[0]).strip()
    found, seen = [], False
    for text in dict.fromkeys(texts):
        around = text.startswith(begin) and text.endswith(end)
        rest = text.removeprefix(begin).removesuffix(end).strip()
        found.append(rest if seen and around and rest else text)
        seen = seen or around
    return found


def scene_steps(text: str, steps: int, every: int | None = None) -> int | None:
    """Return the steps of a scene when those of `text` share `steps` equally.

    Args:
        every: steps of a scene if they do not share them.

    The last scene takes what is left over. None if there is only one scene.

    Raises:
        PromptError: the run ends before the last scene.
    """
    scenes = 1 + len(SCENE.findall(protect(clean(text))))  # an escaped separator is text
    if scenes == 1:
        return every
    each = max(1, steps // scenes) if every is None else every
    if every is None and scenes > steps:
        raise PromptError(
            f"a story of {scenes} scenes needs at least {scenes} steps but the run has"
            f" {counted(steps, 'step')}"
        )
    if each >= 1 and (last := each * (scenes - 1)) >= steps:
        raise PromptError(
            f"with --change-every {each} the last of {scenes} scenes begins at step {last} but the"
            f" run has {counted(steps, 'step')}"
        )
    return each


def cross_fade(prompts: Sequence[Prompt], fade: int, steps: int) -> tuple[Prompt, ...]:
    """Let prompts that follow each other overlap by `fade` steps, in which their weights change.

    Prompts follow each other where some end at a step at which others start; all of these take
    part. An end that nothing follows stays sudden. A change takes at most the steps of the shortest
    scene beside it.

    Args:
        prompts: as `parse_prompts` returns them.
        fade: steps of one change, at most; 0 returns the prompts as they are.
        steps: of the whole run.

    Raises:
        PromptError: `fade` is negative, or nothing follows anything.
    """
    if fade < 0:
        raise PromptError(f"--fade must be at least 0 but is {fade}")
    if fade == 0:
        return tuple(prompts)
    changes = {p.start for p in prompts} & {p.end for p in prompts if p.end is not None}
    if not changes:
        raise PromptError(
            '--fade needs a story: scenes ("dawn ^ noon" or --story) or steps ("0: a | 100: b")'
        )
    lengths = {at: _shortest(prompts, at, steps) for at in changes}
    fades = {at: min(fade, length) for at, length in lengths.items()}
    return tuple(_fade(prompt, fades) for prompt in prompts)


def _shortest(prompts: Sequence[Prompt], at: int, steps: int) -> int:
    """Return the steps of the shortest prompt that ends or starts `at` a step."""
    lengths = [
        (steps if p.end is None else p.end) - p.start for p in prompts if at in (p.start, p.end)
    ]
    # a scene after the end of the run is left to `check_steps`, which says so
    return min((length for length in lengths if length > 0), default=0)


def _fade(prompt: Prompt, fades: Mapping[int, int]) -> Prompt:
    """Let a prompt rise and fall for the steps of the changes at which it starts and ends."""
    rise, fall = fades.get(prompt.start, 0), 0
    if prompt.end is not None:
        fall = fades.get(prompt.end, 0)
    return replace(
        prompt,
        start=prompt.start - rise // 2,
        end=None if prompt.end is None else prompt.end + fall - fall // 2,
        rise=rise,
        fall=fall,
    )
