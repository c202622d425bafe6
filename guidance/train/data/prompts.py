"""Texts without pictures for the text tower: WordNet words and glosses, and made-up prompts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from guidance.train.data.names import photo_of, with_article

STYLES = (
    "{}", "a photo of {}", "a drawing of {}", "a painting of {}", "a picture of {}",
    "a watercolor painting of {}", "an oil painting of {}", "a sketch of {}", "a cartoon of {}",
    "a pencil drawing of {}", "an abstract painting of {}", "a line drawing of {}",
    "pixel art of {}", "a stained glass window of {}", "a close-up of {}", "clipart of {}",
    "a detailed illustration of {}", "a poster of {}", "a colorful drawing of {}",
)  # fmt: skip
ADJECTIVES = (
    "red", "green", "blue", "yellow", "orange", "purple", "pink", "black", "white", "brown",
    "golden", "silver", "gray", "big", "small", "old", "happy", "sad", "angry", "cute", "dark",
    "bright", "wooden", "glass", "round", "sleeping", "running", "flying", "beautiful", "scary",
)  # fmt: skip
PLACES = (
    "at sunrise", "at sunset", "at night", "in the rain", "in the snow", "on a beach",
    "in a forest", "on a hill", "by the sea", "in a field", "on a table", "in the mountains",
    "in the city", "under a blue sky", "in space", "underwater", "in a garden", "by a lake",
    "in the desert", "on a white background", "on the moon", "in autumn", "in winter", "in spring",
)  # fmt: skip
LINKS = ("and", "with", "next to", "on top of", "riding", "holding", "in front of", "inside")


def made_up(wordnet: Path, names: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Return about `count` different texts: 40 % WordNet lemmas, 10 % glosses, 50 % prompts.

    The prompts combine `names`, which are things that can be drawn, with styles, adjectives,
    places and one another.
    """
    texts = [*lemmas(wordnet, int(0.4 * count), rng), *glosses(wordnet, int(0.1 * count), rng)]
    names = [n for n in dict.fromkeys(names) if len(n) > 2]
    texts += [_prompt(names, rng) for _ in range(count - len(texts))]
    return list(dict.fromkeys(texts))


def _prompt(names: list[str], rng: np.random.Generator) -> str:
    def thing() -> str:
        name = names[rng.integers(len(names))]
        if rng.random() < 0.35:
            name = f"{ADJECTIVES[rng.integers(len(ADJECTIVES))]} {name}"
        return with_article(name) if rng.random() < 0.9 else name

    text = thing()
    if rng.random() < 0.25:
        text += f" {LINKS[rng.integers(len(LINKS))]} {thing()}"
    if rng.random() < 0.35:
        text += f" {PLACES[rng.integers(len(PLACES))]}"
    if rng.random() < 0.6:
        text = STYLES[rng.integers(len(STYLES))].format(text)
    return text


def lemmas(wordnet: Path, count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` WordNet lemmas, the frequent ones first, some as "a photo of a LEMMA"."""
    ranked: dict[str, int] = {}
    for part in ("noun", "verb", "adj"):
        for line in (wordnet / f"index.{part}").read_text("utf-8").splitlines():
            fields = line.split()
            if line.startswith(" ") or not re.fullmatch(r"[a-z]+(_[a-z]+)?", fields[0]):
                continue
            pointers = int(fields[3])
            tagged = int(fields[5 + pointers])
            ranked[fields[0]] = ranked.get(fields[0], 0) + tagged * 1000 + int(fields[2])
    words = [w.replace("_", " ") for w in sorted(ranked, key=ranked.__getitem__, reverse=True)]
    return [w if rng.random() < 0.6 else photo_of(w) for w in words[:count]]


def glosses(wordnet: Path, count: int, rng: np.random.Generator) -> list[str]:
    """Return the first clause of `count` random noun glosses."""
    lines = (wordnet / "data.noun").read_text("utf-8").splitlines()
    found = [line.split("| ", 1)[1] for line in lines if "| " in line and not line.startswith(" ")]
    picked = rng.choice(len(found), min(count, len(found)), replace=False)
    return [found[i].split(";")[0].strip()[:160] for i in picked]
