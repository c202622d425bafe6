"""Lists of prompts with the names of what they show, and of names to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from guidance.errors import FileError, InputError, PromptError, unknown
from guidance.evaluate.blind.words import bare, canonical, overlap
from guidance.files.text import missing, read_prompts
from guidance.prompts.grammar import parse_prompts

FOLDER = Path(__file__).with_name("lists")
NAMES = "-names"  # ends the name of a list of names
EVERYDAY = "everyday"


@dataclass(frozen=True)
class Group:
    """A thing to choose.

    Attributes:
        names: its name, and other words for it.
        near: what is of its kind or looks like it.
    """

    names: tuple[str, ...]
    near: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What a picture should show.

    Attributes:
        prompt: that it is made from.
        name: what somebody should call it.
        accepted: other names that are right.
    """

    prompt: str
    name: str
    accepted: tuple[str, ...] = ()


def ready() -> list[str]:
    """Return the names of the lists of prompts that come with the package."""
    return sorted(p.stem for p in FOLDER.glob("*.txt") if not p.stem.endswith(NAMES))


def read_wanted(source: str) -> list[Wanted]:
    """Return the prompts of a file, or of a list of `ready`.

    Raises:
        FileError: it does not exist, is no text, or holds no prompt.
        InputError: a line cannot be used.
    """
    if source in ready():
        source = str(FOLDER / f"{source}.txt")
    elif not Path(source).exists() and not Path(source).suffix:
        raise InputError(f"prompts: no file and {unknown('list', source, ready())}")
    return [wanted(line) for line in read_prompts(source)]


def wanted(line: str) -> Wanted:
    r"""Return the prompt of a line and its name: behind a tab or " = ", or what the prompt says.

    Raises:
        InputError: there is a mark but no name, or no word in the prompt.

    Example:
        >>> wanted("a fox at sunrise").name
        'fox at sunrise'
        >>> wanted("a fox at sunrise = fox | red fox")
        Wanted(prompt='a fox at sunrise', name='fox', accepted=('red fox',))
    """
    tab = "\t" in line
    prompt, mark, names = line.partition("\t") if tab else line.rpartition(" = ")
    if not mark:
        return Wanted(line.strip(), name_in(line))
    found = _names(names.replace("\t", "|"))
    if not found or not prompt.strip():
        raise InputError(f"{line!r} must be a prompt and behind a tab or ' = ' its name")
    return Wanted(prompt.strip(), found[0], found[1:])


def name_in(prompt: str) -> str:
    """Return the words of the first thing that a prompt asks for, without article and weight.

    Raises:
        InputError: it asks for nothing in words.

    Example:
        >>> name_in("a fox at sunrise:2 | fog:-0.5")
        'fox at sunrise'
    """
    try:
        texts = [
            p.text for p in parse_prompts(prompt, every=1) if p.kind == "text" and p.weight > 0
        ]
    except PromptError:  # of another tool
        texts = [prompt] if prompt.strip() else []
    if not texts:
        raise InputError(f"{prompt!r} has no words: give its name behind a tab or ' = '")
    return bare(texts[0])


def companion(sources: Sequence[str]) -> str:
    """Return the list of names for lists of prompts: their own, if there is one of `ready`."""
    own = {source for source in sources if (FOLDER / f"{source}{NAMES}.txt").is_file()}
    return own.pop() if len(own) == 1 and own <= {*ready()} else EVERYDAY


def read_groups(source: str) -> list[Group]:
    """Return the things of a file, or of a list of the package: "car | automobile > taxi | bus".

    Args:
        source: the file or list; "none" holds nothing.

    Raises:
        FileError: it does not exist, is no text, or holds no name.
        InputError: there is no such list.
    """
    if source == "none":
        return []
    own = FOLDER / f"{source}{NAMES}.txt"
    path = own if own.parent == FOLDER and own.is_file() else Path(source)
    if not path.exists():
        known = sorted(p.stem.removesuffix(NAMES) for p in FOLDER.glob(f"*{NAMES}.txt"))
        if not path.suffix:
            raise InputError(
                f"distractors: no file and {unknown('list', source, [*known, 'none'])}"
            )
        raise FileError(missing(path))
    parts = [line.partition(" > ") for line in read_prompts(str(path))]
    return [Group(names, _names(near)) for first, _, near in parts if (names := _names(first))]


def with_synonyms(prompts: Iterable[Wanted], groups: Sequence[Group]) -> list[Wanted]:
    """Return `prompts` that accept the other words for their names too."""
    found = []
    for w in prompts:
        own = [g.names for g in groups if canonical(w.name) in map(canonical, g.names)]
        more = (*w.accepted, *(name for names in own for name in names))
        others = {canonical(n): n for n in reversed(more) if canonical(n) != canonical(w.name)}
        found.append(replace(w, accepted=tuple(reversed(others.values()))))
    return found


def choices(prompts: Iterable[Wanted], groups: Iterable[Group]) -> list[str]:
    """Return the names to choose from: those of `prompts`, each once, then those of `groups`.

    A group of which any word overlaps with what is wanted is left out: "boat" beside a "sailing
    boat" would be another right answer.
    """
    prompts = list(prompts)
    right = [canonical(name) for w in prompts for name in (w.name, *w.accepted)]
    names: dict[str, str] = {}
    for w in prompts:
        names.setdefault(canonical(w.name), w.name)
    for group in groups:
        words = [canonical(word) for word in (*group.names, *group.near)]
        if not any(overlap(word, r) for word in words for r in right):
            names.setdefault(words[0], group.names[0])
    return list(names.values())


def _names(text: str) -> tuple[str, ...]:
    """Return the names between bars."""
    return tuple(dict.fromkeys(name for part in text.split("|") if (name := bare(part))))
