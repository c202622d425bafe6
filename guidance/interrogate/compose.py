"""One embedded image and lists of phrases → the nearest phrases, and words put together from them.

Greedy search: each round adds the phrase that raises the cosine most, and the words end where none
does. Its result depends on the phrases and the model alone; there is no randomness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.interrogate.phrases import START

# The best phrases of each list that are tried in a round. More of them raise the cosine further, by
# words that please the model and say nothing of the picture.
CANDIDATES = 4
OF_ONE_LIST = 2  # phrases of one list in the words
LEAST_FIT = 0.6  # a phrase's own cosine, of that of the first: what does not fit is not said
LEAST_GAIN = 0.005  # of the cosine; less is chance


@dataclass(frozen=True)
class Phrase:
    """A phrase, the list it comes from, and a cosine.

    Attributes:
        text: the phrase.
        list: name of its list.
        score: cosine of the image to the phrase alone or, in `Words`, to the words up to it.
    """

    text: str
    list: str
    score: float


@dataclass(frozen=True)
class Words:
    """Phrases put together.

    Attributes:
        text: joined by commas; empty if there are none.
        score: cosine of the image to `text`, in [-1, 1]; 0 if there are none.
        steps: the phrases in their order.
    """

    text: str = ""
    score: float = 0.0
    steps: tuple[Phrase, ...] = ()


def nearest(
    image: Tensor, lists: Mapping[str, Sequence[str]], embedded: Mapping[str, Tensor], count: int
) -> dict[str, list[Phrase]]:
    """Return the phrases of each list nearest to an image, the best first.

    Args:
        image: unit vector ``[D]``.
        lists: name → P phrases.
        embedded: name → unit vectors ``[P, D]``.
        count: of each list at most.
    """
    found = {}
    for name, phrases in lists.items():
        scores = embedded[name].to(image) @ image
        best = scores.argsort(descending=True, stable=True)[:count].tolist()
        found[name] = [Phrase(phrases[i], name, float(scores[i])) for i in best]
    return found


@torch.no_grad()
def compose(
    image: Tensor, candidates: Mapping[str, Sequence[Phrase]], scorer: ClipScorer, length: int
) -> Words:
    """Put words together: begin with the best subject, then add what raises the cosine most.

    Only phrases that fit by themselves are added, `LEAST_FIT`: others please the model in company
    and say nothing of the picture.

    Args:
        image: unit vector ``[D]``.
        candidates: name of list → its phrases that may be used, the best first.
        scorer: what the image was embedded by.
        length: phrases at most.

    Returns:
        The words; the cosine rises with each of their phrases.
    """
    everything = [p for phrases in candidates.values() for p in phrases]
    start = candidates.get(START) or everything
    fitting = [p for p in start if fits(scorer, p.text)]
    if not fitting or length < 1:
        return Words()
    first = max(fitting, key=lambda p: p.score)
    words = Words(first.text, first.score, (first,))
    everything = [p for p in everything if p.score >= LEAST_FIT * first.score]
    while len(words.steps) < length:
        longer = _longer(image, words, everything, scorer)
        if longer is None:
            break
        words = longer
    return words


def _longer(
    image: Tensor, words: Words, everything: Sequence[Phrase], scorer: ClipScorer
) -> Words | None:
    """Return the words with the phrase that raises the cosine most; None if none does."""
    used = [p.list for p in words.steps]
    free = [
        p for p in everything if used.count(p.list) < OF_ONE_LIST and not _says(words.text, p.text)
    ]
    free = [p for p in free if fits(scorer, f"{words.text}, {p.text}")]
    if not free:
        return None
    texts = [f"{words.text}, {p.text}" for p in free]
    scores = (scorer.encode_text(texts).to(image) @ image).tolist()
    place = max(range(len(free)), key=lambda i: scores[i])
    if scores[place] < words.score + LEAST_GAIN:
        return None
    step = Phrase(free[place].text, free[place].list, scores[place])
    return Words(texts[place], scores[place], (*words.steps, step))


def fits(scorer: ClipScorer, text: str) -> bool:
    """Return whether all models read `text` to its end: would one more word be read?"""
    return not any(m.unread(f"{text} a") for m in scorer.models)


def _says(text: str, phrase: str) -> bool:
    """Return whether all words of `phrase` are in `text` already."""
    return set(phrase.lower().split()) <= set(text.lower().replace(",", "").split())
