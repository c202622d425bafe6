"""Sentences to put class names into.

The lists of the CLIP paper's prompt engineering (Radford et al. 2021, arXiv:2103.00020, section
3.1.4) come from open_clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guidance.errors import FileError, InputError, nearest
from guidance.files.text import missing, read_prompts

SETS = ("openai80", "simple7", "photo", "name")
ALIASES = {"imagenet": "openai80", "simple": "simple7"}


def templates(names: Sequence[str]) -> list[str]:
    """Return the templates that `names` stand for, each once.

    Args:
        names: ``"openai80"`` or ``"imagenet"`` and ``"simple7"`` or ``"simple"`` are the CLIP
            paper's sets, ``"photo"`` is ``"a photo of a {}."``, ``"name"`` is ``"{}"``; further a
            file with a template on each line (``#`` begins a comment), or a template itself, which
            must hold ``{}`` once.

    Raises:
        InputError: a template without ``{}``, or with other braces.
        FileError: what looks like a file does not exist or cannot be read.

    Example:
        >>> templates(["photo", "a drawing of a {}"])
        ['a photo of a {}.', 'a drawing of a {}']
    """
    if isinstance(names, str):
        raise InputError("templates must be a list of names")
    return list(dict.fromkeys(template for name in names for template in _templates(name)))


def _templates(name: str) -> list[str]:
    chosen = ALIASES.get(name, name)
    if chosen in SETS:
        return _set(chosen)
    if "{" not in name and "}" not in name and _looks_like_file(name):
        if not Path(name).is_file():
            raise FileError(missing(Path(name)))
        return [_checked(line, f"{name}: template {line!r}") for line in read_prompts(name)]
    return [_checked(name, f"template {name!r}")]


def _set(name: str) -> list[str]:
    # takes seconds, and a template that is no template should not
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

    if name == "openai80":
        return [t("{}") for t in OPENAI_IMAGENET_TEMPLATES]
    if name == "simple7":
        return [t("{}") for t in SIMPLE_IMAGENET_TEMPLATES]
    return ["a photo of a {}."] if name == "photo" else ["{}"]


def _looks_like_file(name: str) -> bool:
    """Return whether `name` is a file, or was meant to be one."""
    try:
        return Path(name).is_file() or Path(name).suffix == ".txt"
    except (OSError, ValueError):  # no path at all
        return False


def _checked(template: str, what: str) -> str:
    if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
        raise InputError(
            f"{what} must hold {{}} once, for the name of the class, "
            f"or be one of {', '.join((*SETS, *ALIASES))} or a file with a template on each line"
            + nearest(template, (*SETS, *ALIASES))
        )
    return template
