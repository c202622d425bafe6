"""Sentences to put class names into.

The lists of the CLIP paper's prompt engineering (Radford et al. 2021, section 3.1.4) come from
open_clip.
"""

from __future__ import annotations

from collections.abc import Sequence

from guidance.errors import InputError

SETS = ("openai80", "simple7", "photo", "name")


def templates(names: Sequence[str]) -> list[str]:
    """Return the templates that `names` stand for.

    Args:
        names: ``"openai80"`` and ``"simple7"`` are the CLIP paper's sets, ``"photo"`` is
            ``"a photo of a {}."``, ``"name"`` is ``"{}"``; anything else is a template itself and
            must hold ``{}`` once.

    Raises:
        InputError: a template without ``{}``, or with other braces.
    """
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

    sets = {
        "openai80": [t("{}") for t in OPENAI_IMAGENET_TEMPLATES],
        "simple7": [t("{}") for t in SIMPLE_IMAGENET_TEMPLATES],
        "photo": ["a photo of a {}."],
        "name": ["{}"],
    }
    found = []
    for name in names:
        if name not in sets and (name.count("{}") != 1 or name.count("{") != 1):
            raise InputError(
                f"template {name!r} must hold {{}} once, for the name of the class, "
                f"or be one of {', '.join(SETS)}"
            )
        found += sets.get(name, [name])
    return list(dict.fromkeys(found))
