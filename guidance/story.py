"""Scenes of a story: texts → one prompt, their length, and cross-fades between them.

    >>> text = tell("dawn", ["noon", "night"])
    >>> text, scene_steps(text, 300)
    ('dawn ^ noon ^ night', 100)

With a cross-fade the weight of one scene falls linearly while that of the next one rises, centred
on the step where they would change:

    >>> from guidance.prompts import parse_prompts
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

from collections.abc import Sequence
from dataclasses import replace

from guidance.errors import PromptError, counted
from guidance.prompts import Prompt
from guidance.schedule import clean, protect


def tell(prompt: str, story: Sequence[str]) -> str:
    """Return one prompt string of `prompt` and the scenes that follow it."""
    for number, scene in enumerate(story, 1):
        if not scene.strip():
            raise PromptError(f"--story must be text but entry {number} is empty")
    return " ^ ".join([prompt, *story])


def scene_steps(text: str, steps: int) -> int | None:
    """Return the steps of a scene when those of `text` share `steps` equally.

    The last scene takes what is left over. None if there is only one scene.
    """
    protected = protect(clean(text))  # an escaped separator is text
    scenes = 1 + protected.count("^") + protected.count("||")
    return max(1, steps // scenes) if scenes > 1 else None


def cross_fade(prompts: Sequence[Prompt], fade: int, steps: int) -> tuple[Prompt, ...]:
    """Let prompts that follow each other overlap by `fade` steps, in which their weights change.

    Prompts follow each other where some end at a step at which others start; all of these take
    part. An end that nothing follows stays sudden.

    Args:
        prompts: as `parse_prompts` returns them.
        fade: steps of one change; 0 returns the prompts as they are.
        steps: of the whole run.

    Raises:
        PromptError: `fade` is negative, nothing follows anything, or a scene is shorter than it.
    """
    if fade < 0:
        raise PromptError(f"--fade must be at least 0 but is {fade}")
    if fade == 0:
        return tuple(prompts)
    changes = {p.start for p in prompts} & {p.end for p in prompts}
    if not changes:
        raise PromptError(
            '--fade needs a story: scenes ("dawn ^ noon" or --story) or steps ("0: a | 100: b")'
        )
    return tuple(_fade(prompt, fade, steps, changes) for prompt in prompts)


def _fade(prompt: Prompt, fade: int, steps: int, changes: set[int | None]) -> Prompt:
    rises, falls = prompt.start in changes, prompt.end in changes
    end = steps if prompt.end is None else prompt.end
    # a scene after the end of the run is left to `check_steps`, which says so
    if (rises or falls) and 0 < end - prompt.start < fade:
        raise PromptError(
            f"--fade must be at most the length of a scene but is {fade} and '{prompt.text[:40]}'"
            f" has {counted(end - prompt.start, 'step')}"
        )
    before = fade // 2
    return replace(
        prompt,
        start=prompt.start - before if rises else prompt.start,
        end=prompt.end + fade - before if falls else prompt.end,
        rise=fade if rises else 0,
        fall=fade if falls else 0,
    )
