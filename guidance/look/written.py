"""A picture before and after a word is written on it → what a CLIP says of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from guidance.clip.scorer import ClipScorer
from guidance.images import to_tensor
from guidance.look.options import WriteOptions
from guidance.objective.text_off import without_direction, write_on


@dataclass(frozen=True)
class Attack:
    """A picture, the same with a word on it, and what the word does.

    Attributes:
        image, attacked: the picture without and with the word.
        chances: case → probability of each text.
        moved: says how far the embedding has moved.
    """

    image: Image.Image
    attacked: Image.Image
    chances: dict[str, list[float]]
    moved: str


def attack(
    image: Image.Image, options: WriteOptions, scorer: ClipScorer, directions: Tensor | None
) -> Attack:
    """Write the word of `options` on a picture and ask the CLIP.

    Args:
        directions: of written text, ``[K, D]``, that are taken out as a further case.
    """
    attacked = write_on(image, options.write, height=options.height, place=options.place)
    cases: dict[str, tuple[Image.Image, Any]] = {
        "before": (image, None),
        f"with “{options.write}”": (attacked, None),
    }
    if directions is not None:
        cases["with it, text off"] = (attacked, directions)
    texts = options.all_texts
    chances = {
        name: chances_of(scorer, *case, texts, options.softmax) for name, case in cases.items()
    }
    return Attack(image, attacked, chances, how_moved(scorer, image, attacked, directions))


def chances_of(
    scorer: ClipScorer, image: Image.Image, off: Tensor | None, texts: list[str], softmax: bool
) -> list[float]:
    """Return the probabilities of the texts; `off` is directions to take out of the image."""
    with torch.no_grad():
        embedding = scorer.encode_image(to_tensor(image))
        if off is not None:
            embedding = without_direction(embedding, off)
        logits = scorer.logits(embedding, scorer.encode_text(texts))
        return scorer.to_probabilities(logits, softmax=softmax)[0].tolist()


def how_moved(
    scorer: ClipScorer, image: Image.Image, attacked: Image.Image, off: Tensor | None
) -> str:
    """Say how far the word moves the embedding, as it is and with text off in both."""
    with torch.no_grad():
        pair = torch.cat([scorer.encode_image(to_tensor(i)) for i in (image, attacked)])
    said = f"it moves the picture to a cosine of {(pair[0] @ pair[1]).item():.3f}"
    if off is None:
        return said
    pair = without_direction(pair, off)
    return f"{said}, text off {(pair[0] @ pair[1]).item():.3f}"
