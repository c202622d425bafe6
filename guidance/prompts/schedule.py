r"""Prompt string or dict → entries: which piece of it applies at which steps.

    str ─▶ clean, protect escapes ─▶ split at ^ or ||, at steps "200: ", at | ─▶ list[Entry]

All patterns here run in time linear in the prompt.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

from guidance.errors import PromptError
from guidance.prompts.characters import clean, emptiness, fail, protect, restore

MAX_STEP = 10**9
SCENE = re.compile(r"\|\||\^")
_BAR = re.compile(r"\|")
_STEP = re.compile(r"\s*([0-9]+)(?:\s*(-)(?:\s*([0-9]+))?)?\s*:(?=\s|$)")
_KEYFRAME = re.compile(r"\s*\(\s*[-+.0-9eE]+\s*\)\s*(,|$)")
_COMMA_STEP = re.compile(r",\s*[0-9]+\s*:(?=\s|$)")
_DICT = re.compile(r"""\s*\{\s*([0-9]+|"[^"]{0,40}"|'[^']{0,40}')\s*:(?!\s*[-+.0-9])""")


@dataclass(frozen=True)
class Entry:
    """One piece between bars, trimmed, with escapes protected, and the steps it applies at."""

    piece: str
    column: int
    source: str
    start: int = 0
    end: int | None = None

    def fail(self, reason: str, offset: int = 0) -> NoReturn:
        """Raise `PromptError`; `offset` counts characters into the piece."""
        fail(reason, self.source, self.column + offset)


def entries(source: str, every: int | None = None, alone: bool = False) -> list[Entry]:
    """Split one prompt string into entries.

    Args:
        source: the string as typed.
        every: steps per scene.
        alone: there are no other prompts, so that a plain schedule must begin at step 0.
    """
    text = protect(clean(source))
    if empty := emptiness(restore(text)):
        fail(empty, source)
    if _DICT.match(text):
        return mapping_entries(_read_dict(source), source, alone)
    scenes = list(_split(text, SCENE))
    if len(scenes) == 1:
        return _timed(text, source, alone)
    for column, scene in scenes:
        if emptiness(restore(scene)):
            fail(
                r"a scene must not be empty: '^' and '||' need a prompt before and after them; in"
                r" ordinary text write '\^' or '\|'",
                source,
                min(column, len(source)),
            )
    if every is None:
        fail(
            r"'^' and '||' start the next scene, which needs --change-every (steps per scene);"
            r" in ordinary text write '\^' or '\|'",
            source,
            scenes[1][0],
        )
    found = []
    for i, (column, scene) in enumerate(scenes):
        end = None if i == len(scenes) - 1 else (i + 1) * every
        for col, piece in _split(scene, _BAR, column):
            if _STEP.match(piece):
                fail("scenes ('^', '||') and steps ('200: ') cannot be combined", source, col)
            found.append(_entry(piece, col, source, i * every, end))
    return found


def mapping_entries(
    pairs: Iterable[tuple[object, object]], source: str, alone: bool = False
) -> list[Entry]:
    """Return the entries of a schedule ``{step: prompt or list of prompts}``."""
    timed = [(_step(key, source), value) for key, value in pairs]
    if not timed:
        fail("a schedule must not be empty", source)
    _check_plain([(step, 1) for step, _ in timed], source, alone)
    found = []
    for (start, value), end in zip(timed, [*(step for step, _ in timed[1:]), None], strict=True):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
            fail(f"step {start} must hold a prompt or a list of prompts but is {value!r}", source)
        if not texts:
            fail(f"step {start} must hold at least one prompt", source)
        for text in texts:
            for col, piece in _split(protect(clean(text)), _BAR):
                if SCENE.search(piece):
                    fail(r"a schedule cannot hold scenes; in ordinary text write '\^'", text, col)
                if _STEP.match(piece):
                    fail(r"a schedule cannot hold another; write '\:' if it is text", text, col)
                found.append(_entry(piece, col, text, start, end))
    return found


def is_schedule(text: str) -> bool:
    """Return whether a protected text is a schedule in braces, or holds steps such as ``200: ``."""
    return bool(_DICT.match(text)) or any(_STEP.match(piece) for _, piece in _split(text, _BAR))


def check_span(start: int, end: int | None) -> None:
    """Raise `PromptError` unless a prompt can apply from `start` up to `end`."""
    for name, step in (("start", start), ("end", end)):
        whole = isinstance(step, int) and not isinstance(step, bool)
        if not (whole and 0 <= step <= MAX_STEP) and not (name == "end" and step is None):
            raise PromptError(f"{name} must be a step from 0 to {MAX_STEP} but is {step}")
    if end is not None and end <= start:
        raise PromptError(f"end must come after start ({start}) but is {end}")


def check_fades(rise: int, fall: int, end: int | None) -> None:
    """Raise `PromptError` unless these are numbers of steps; only what ends can fall."""
    for name, value in (("rise", rise), ("fall", fall)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise PromptError(f"{name} must be a number of steps but is {value!r}")
    if fall and end is None:
        raise PromptError(f"fall must be 0 without an end but is {fall}")


def _timed(text: str, source: str, alone: bool) -> list[Entry]:
    """Split at ``|`` and at steps. A plain step ends at the next plain step."""
    groups: list[tuple[int, int | None, list]] = [(0, None, [])]
    plain: list[tuple[int, int, int]] = []  # step, column, index of the group
    for column, piece in _split(text, _BAR):
        match = _STEP.match(piece)
        if match:
            at, column = column + match.start(1), column + match.end()
            start = _step(match[1], source, at)
            end = _step(match[3], source, at) if match[3] else None
            if end is not None and end <= start:
                fail(
                    f"the steps must be START-END with END after START but are {start}-{end}",
                    source,
                    column,
                )
            if not match[2]:
                plain.append((start, at, len(groups)))
            piece = piece[match.end() :]
            _check_entry(piece, source, column, keyframes=not match[2])
            groups.append((start, end, []))
        groups[-1][2].append((column, piece))
    alone = alone and not groups[0][2] and len(plain) == len(groups) - 1
    _check_plain([(start, column) for start, column, _ in plain], source, alone)
    ends = {index: after[0] for (_, _, index), after in pairwise(plain)}
    return [
        _entry(piece, column, source, start, ends.get(i, end))
        for i, (start, end, pieces) in enumerate(groups)
        for column, piece in pieces
    ]


def _check_entry(piece: str, source: str, column: int, *, keyframes: bool) -> None:
    """Refuse keyframes of numbers and entries that are separated by commas."""
    if keyframes and _KEYFRAME.match(piece):
        fail("keyframes such as '0: (1.0), 50: (1.05)' are numbers, not prompts", source, column)
    comma = _COMMA_STEP.search(piece)
    if comma:
        fail(
            r"the entries of a schedule are separated by '|', not ','; write '\:' if it is text",
            source,
            column + comma.start(),
        )


def _entry(piece: str, column: int, source: str, start: int, end: int | None) -> Entry:
    trimmed = piece.strip()
    column += len(piece) - len(piece.lstrip())
    if empty := emptiness(restore(trimmed)):
        fail(
            rf"{empty}: remove the '|' or the step, or write '\|' for text",
            source,
            min(column, len(source)),
        )
    return Entry(trimmed, column, source, start, end)


def _split(text: str, separator: re.Pattern, column: int = 1) -> Iterator[tuple[int, str]]:
    """Yield each piece between separators with the column it begins at."""
    position = 0
    for match in separator.finditer(text):
        yield column + position, text[position : match.start()]
        position = match.end()
    yield column + position, text[position:]


def _step(value: object, source: str, column: int = 1) -> int:
    """Return a step number given as an int or as digits."""
    step = -1
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,20}\s*", value):
        step = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        step = value
    if not 0 <= step <= MAX_STEP:
        shown = value[:20] if isinstance(value, str) else type(value).__name__
        shown = f"{value:.3g}" if isinstance(value, int | float) else shown
        fail(f"a step must be a whole number from 0 to {MAX_STEP} but is {shown}", source, column)
    return step


def _check_plain(steps: list[tuple[int, int]], source: str, alone: bool) -> None:
    """Refuse plain steps that do not increase or, with nothing beside them, begin late."""
    if alone and steps and steps[0][0] > 0:
        fail(
            f"no prompt applies before step {steps[0][0]}; start with '0: ', or write"
            rf" '{steps[0][0]}\: ' if the number is text",
            source,
            steps[0][1],
        )
    for (before, _), (after, column) in pairwise(steps):
        if after <= before:
            fail(
                f"the steps of a schedule must increase but {after} follows {before}",
                source,
                column,
            )


def _read_dict(source: str) -> list[tuple[object, object]]:
    """Read a schedule written as JSON or as a Python literal; doubled steps are kept."""
    try:
        return json.loads(source, object_pairs_hook=list)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown escape such as "\|" is kept as it is
            tree = ast.parse(source.strip(), mode="eval").body
            if not isinstance(tree, ast.Dict):
                raise ValueError("not a dict")
            keys = [key for key in tree.keys if key is not None]  # None is a ** of another
            literal = ast.literal_eval
            return [(literal(k), literal(v)) for k, v in zip(keys, tree.values, strict=True)]
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        fail('a schedule in braces must be written like {0: ["a fox:2"], 200: ["a wolf"]}', source)
