"""Names of things as people write them → what they are compared by."""

from __future__ import annotations

import re

from guidance.prompts.slug import slug

ARTICLES = frozenset(("a", "an", "the"))
_MANY = {"mice": "mouse", "geese": "goose", "wolves": "wolf", "leaves": "leaf", "knives": "knife",
         "loaves": "loaf", "people": "person", "men": "man", "women": "woman",
         "children": "child", "cacti": "cactus"}  # fmt: skip


def bare(name: str) -> str:
    """Return a name without space around it and without its article.

    Example:
        >>> bare(" a fox at sunrise"), bare("The Alps")
        ('fox at sunrise', 'Alps')
    """
    first, _, rest = name.strip().partition(" ")
    return rest.strip() if rest and first.lower() in ARTICLES else name.strip()


def canonical(name: str) -> str:
    """Return what two ways to write one name have in common.

    Case, accents, punctuation, articles and the plural make no difference. The result is for
    comparing alone: it is no word.

    Example:
        >>> canonical("The Foxes!") == canonical("fox"), canonical("horse") == canonical("Horses")
        (True, True)
        >>> canonical("bus") == canonical("buses"), canonical("cherries") == canonical("a cherry")
        (True, True)
        >>> canonical("teapot") == canonical("pot")
        False
    """
    words = slug(name, max_length=1000).split("-")
    return " ".join(map(_singular, [w for w in words if w not in ARTICLES] or words))


def overlap(one: str, other: str) -> bool:
    """Return whether one of two canonical names holds the other as whole words.

    Example:
        >>> overlap("fox", "fox at sunrise"), overlap("apple", "pineapple")
        (True, False)
    """
    return f" {one} " in f" {other} " or f" {other} " in f" {one} "


def _singular(word: str) -> str:
    """Return a word without the "s" of its plural, and without the "e" that may come with it."""
    word = _MANY.get(word, word)
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return re.sub(r"(?<=[sxzo])e$|(?<=[cs]h)e$", "", re.sub(r"ie$", "y", word))
