"""Names of icons → captions, and what WordNet says a name is."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = ("{name}", "{a}", "a drawing of {a}", "a picture of {a}", "an emoji of {a}")
# Lexicographer files of WordNet (lexnames(5WN)) whose nouns are things one can see.
ANIMALS, THINGS = {"05"}, {"06", "13", "17", "18", "20"}

_TONE = re.compile(r"skin-tone|-(light|medium|dark)$")
_INTERFACE = re.compile(
    r"^flag-|-flag-for|^keycap|^letter-|regional-indicator|button$|o-?clock|-thirty|^clock-face"
    r"|^squared|^negative|^input-|logo|^app-|^ui-|browser|arrow|^text-|^form-|^data-|^content-"
    r"|^layout|^align|cursor|-badge$|^file-|^folder-|^user-|^uv-index|beaufort|^code-|sign-of"
)
_STYLE_WORDS = {"duo", "flat", "fill", "color", "line", "alt", "circle", "square"}


def icon_name(key: str) -> str | None:
    """Turn an interface icon's identifier into a caption, or None if it is not worth learning.

    Example:
        >>> icon_name("fox-face"), icon_name("sofa-3-duo"), icon_name("arrow-left")
        ('fox face', 'sofa', None)
    """
    if _TONE.search(key) or _INTERFACE.search(key):
        return None
    words = [w for w in re.split(r"[-_ ]+", key.lower()) if w and not w.isdigit()]
    while len(words) > 1 and words[-1] in _STYLE_WORDS:
        words.pop()
    text = " ".join(words)
    return text if 2 < len(text) < 48 else None


def emoji_name(key: str) -> str | None:
    """Turn an emoji's identifier into a caption, or None for a variant in skin tone.

    Example:
        >>> emoji_name("flag-for-flag-peru"), emoji_name("two-oclock"), emoji_name("wave-dark")
        ('flag peru', 'two oclock', None)
    """
    if _TONE.search(key):
        return None
    text = " ".join(w for w in re.split(r"[-_ ]+", key.lower()) if w)
    return re.sub(r"^(flag for |flag |for )+", "flag ", text) if "flag for" in text else text


def with_article(name: str) -> str:
    """Put "a" or "an" before a name that can take it.

    Example:
        >>> with_article("owl"), with_article("red apple"), with_article("scissors")
        ('an owl', 'a red apple', 'scissors')
    """
    if name.endswith("s") and not name.endswith(("ss", "us", "is")):
        return name
    return ("an " if name[0] in "aeiou" else "a ") + name


def photo_of(name: str) -> str:
    """Return the sentence that stands for a class of pictures.

    Example:
        >>> photo_of("owl")
        'a photo of an owl'
    """
    return f"a photo of {with_article(name)}"


def sentences(name: str) -> tuple[str, ...]:
    """Put a bare name into the captions of a drawing of it."""
    if name.startswith("flag "):
        return name, f"the flag of {name[5:]}", f"an emoji of the flag of {name[5:]}"
    return tuple(t.format(name=name, a=with_article(name)) for t in TEMPLATES)


def segment(run: str, words: set[str]) -> str:
    """Split words written together, with the fewest words; unchanged if it cannot be split.

    Example:
        >>> segment("clinkingbeermugs", {"clinking", "beer", "mugs"})
        'clinking beer mugs'
    """
    best: list[list[str] | None] = [[]] + [None] * len(run)
    for end in range(1, len(run) + 1):
        for start in range(max(0, end - 20), end):
            head = best[start]
            if head is not None and run[start:end] in words:
                known = best[end]
                if known is None or len(head) + 1 < len(known):
                    best[end] = [*head, run[start:end]]
    found = best[-1]
    return " ".join(found) if found else run


def nouns(folder: Path) -> dict[str, str]:
    """Map WordNet's nouns in `folder` to the lexicographer file of their most frequent sense.

    Lower case, with spaces for underscores.
    """
    files = {}
    for line in (folder / "data.noun").read_text("utf-8").splitlines():
        if not line.startswith(" "):
            offset, number, _ = line.split(" ", 2)
            files[offset] = number
    out = {}
    for line in (folder / "index.noun").read_text("utf-8").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            out[fields[0].replace("_", " ")] = files[fields[6 + int(fields[3])]]
    return out


def kind(name: str, files: dict[str, str]) -> str:
    """Return "animal", "thing" (that can be seen) or "" for `name`, by the map of `nouns`."""
    file = files.get(name)
    return "animal" if file in ANIMALS else "thing" if file in THINGS else ""
